/** Pebble, a certificate authority for tests, and a DNS server that leads every name to this machine. Both are of Debian's package `pebble`. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Authority, createAuthority, issue } from './certificate.ts'
import { freePort } from './free-port.ts'
import { until } from './wait.ts'

export type Pebble = {
  directoryUrl: string
  /** File with the authority of Pebble's own server, for ACME_CA_FILE. */
  caFile: string
  /** The root that issues certificates, in PEM. */
  root: string
  /** Server of the DNS in which every name leads to this machine, for DNS_SERVERS. */
  dns: string
  /** Publishes a TXT record. */
  publish(name: string, text: string): Promise<void>
  close(): Promise<void>
}

/** Why the tests with Pebble are skipped; null if it is installed. */
export const pebbleMissing: string | null = ['pebble', 'pebble-challtestsrv'].some(
  (program) => (spawnSync(program, ['-h'], { stdio: 'ignore' }).error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT',
)
  ? "Debian's package pebble is not installed"
  : null

/** `httpPort`: where it requests the answers of HTTP-01 challenges. */
export async function startPebble({ httpPort }: { httpPort: number }): Promise<Pebble> {
  const folder = await mkdtemp(join(tmpdir(), 'quayside-pebble-'))
  const own = await createAuthority("Pebble's own server")
  const { certificate, privateKey } = await issue(own, { hosts: ['localhost'] })
  const [port, management, dns, dnsManagement, tlsPort] = await Promise.all(Array.from({ length: 5 }, freePort))
  const caFile = join(folder, 'ca.pem')
  await Promise.all([
    writeFile(caFile, own.pem),
    writeFile(join(folder, 'cert.pem'), certificate),
    writeFile(join(folder, 'key.pem'), privateKey),
    writeFile(
      join(folder, 'config.json'),
      JSON.stringify({
        pebble: {
          ...{ listenAddress: `127.0.0.1:${port}`, managementListenAddress: `127.0.0.1:${management}`, httpPort, tlsPort },
          ...{ certificate: join(folder, 'cert.pem'), privateKey: join(folder, 'key.pem') },
        },
      }),
    ),
  ])
  const nowhere = ['-http01', '', '-https01', '', '-tlsalpn01', '']
  const programs = [
    spawn(
      'pebble-challtestsrv',
      ['-dns01', `127.0.0.1:${dns}`, '-management', `127.0.0.1:${dnsManagement}`, '-defaultIPv6', '', ...nowhere],
      { stdio: 'ignore' },
    ),
    spawn('pebble', ['-config', join(folder, 'config.json'), '-dnsserver', `127.0.0.1:${dns}`], {
      stdio: 'ignore',
      env: { PATH: process.env.PATH, PEBBLE_VA_NOSLEEP: '1', PEBBLE_AUTHZREUSE: '0' },
    }),
  ]
  const close = async () => {
    await Promise.all(programs.map(end))
    await rm(folder, { recursive: true, force: true })
  }
  try {
    const root = await until('Pebble answers', () => rootOf(own, management!), 30_000)
    const publish = async (name: string, value: string) => {
      const body = JSON.stringify({ host: `${name}.`, value })
      const { ok } = await fetch(`http://127.0.0.1:${dnsManagement}/set-txt`, { method: 'POST', body })
      if (!ok) throw new Error('the record was not published')
    }
    return { directoryUrl: `https://localhost:${port}/dir`, caFile, root, dns: `127.0.0.1:${dns}`, publish, close }
  } catch (error) {
    await close()
    throw error
  }
}

const end = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once('close', () => resolve())
    child.kill('SIGKILL')
  })

const rootOf = ({ pem }: Authority, port: number): Promise<string | null> =>
  new Promise((resolve) => {
    const sent = request({ host: '127.0.0.1', port, path: '/roots/0', servername: 'localhost', ca: pem, agent: false })
    sent.on('error', () => resolve(null))
    sent.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve(text))
    })
    sent.end()
  })
