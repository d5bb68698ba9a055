/** A git server over ssh on loopback: it accepts certain public keys and runs `git-upload-pack` in a folder, as a git host does. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import ssh2 from 'ssh2'

export type GitSshServer = {
  port: number
  /** The keys that clients offered and proved to have, as `<algorithm> <base64>`. */
  seen: string[]
  close(): Promise<void>
}

export type GitSshOptions = {
  /** Public keys that may read, as `<algorithm> <base64>`. */
  authorized: readonly string[]
  /** Default: a new one. */
  hostKey?: string
  port?: number
}

export const newHostKey = (): string => ssh2.utils.generateKeyPairSync('ed25519').private

export async function serveGitSsh({ authorized, hostKey = newHostKey(), port = 0 }: GitSshOptions): Promise<GitSshServer> {
  const seen: string[] = []
  const clients = new Set<ssh2.Connection>()
  const server = new ssh2.Server({ hostKeys: [hostKey] }, (client) => {
    clients.add(client)
    client.on('close', () => clients.delete(client))
    client.on('error', () => {})
    client.on('authentication', (context) => {
      if (context.method !== 'publickey') return context.reject(['publickey'])
      const parsed = ssh2.utils.parseKey(context.key.data)
      const line = parsed instanceof Error ? '' : `${parsed.type} ${context.key.data.toString('base64')}`
      if (parsed instanceof Error || !authorized.includes(line)) return context.reject(['publickey'])
      // Without a signature, the client asks whether the key would be accepted.
      if (!context.signature || !context.blob) return context.accept()
      if (parsed.verify(context.blob, context.signature, context.hashAlgo) !== true) return context.reject(['publickey'])
      seen.push(line)
      context.accept()
    })
    client.on('session', (accept) =>
      accept().on('exec', (acceptExec, reject, { command }) => {
        const path = /^git-upload-pack '([^']+)'$/.exec(command)?.[1]
        if (path === undefined) return reject()
        const stream = acceptExec()
        const child = spawn('git-upload-pack', [path], { env: { PATH: process.env.PATH, GIT_CONFIG_COUNT: '3', ...served(path) } })
        stream.pipe(child.stdin)
        child.stdin.on('error', () => {})
        child.stdout.pipe(stream, { end: false })
        child.stderr.pipe(stream.stderr, { end: false })
        child.on('close', (code) => {
          stream.exit(code ?? 1)
          stream.end()
        })
      }),
    )
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    seen,
    async close() {
      for (const client of clients) client.end()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

const served = (path: string): Record<string, string> => ({
  GIT_CONFIG_KEY_0: 'safe.directory',
  GIT_CONFIG_VALUE_0: path,
  GIT_CONFIG_KEY_1: 'uploadpack.allowFilter',
  GIT_CONFIG_VALUE_1: 'true',
  GIT_CONFIG_KEY_2: 'uploadpack.allowAnySHA1InWant',
  GIT_CONFIG_VALUE_2: 'true',
})
