/** A real OpenSSH server on loopback, with its own host keys, that lets the user of the tests log in with certain keys. */
import { execFile, spawn } from 'node:child_process'
import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import sshpk from 'sshpk'
import { freePort } from './free-port.ts'
import { newHostKey } from './git-ssh-server.ts'

const run = promisify(execFile)
const program = '/usr/sbin/sshd'

/** Why no server can be started here. Null if one can. */
export const sshdMissing = await access(program).then(
  () => null,
  () => `${program} is missing: install the Debian package openssh-server`,
)

export type Sshd = {
  host: string
  port: number
  user: string
  /** Fingerprint of the Ed25519 host key, as `ssh-keygen` prints it. */
  fingerprint: string
  /** What the server has logged. */
  log(): string
  /** Ends the server. `restart` starts it again on the same port, with another host key if one is given. */
  stop(): Promise<void>
  restart(hostKey?: string): Promise<void>
  close(): Promise<void>
}

/** A new key pair: the private key in OpenSSH's format, and the line that authorizes it. */
export function newKeyPair(): { privateKey: string; publicKey: string } {
  const key = sshpk.parsePrivateKey(newHostKey(), 'ssh')
  return { privateKey: key.toString('ssh'), publicKey: key.toPublic().toString('ssh') }
}

export async function startSshd({ authorized }: { authorized: readonly string[] }): Promise<Sshd> {
  const directory = await mkdtemp(join(tmpdir(), 'quayside-sshd-'))
  const path = (name: string) => join(directory, name)
  // As root, the server separates its privileges in this directory, which the system's own service would create.
  if (process.getuid?.() === 0) await mkdir('/run/sshd', { recursive: true, mode: 0o755 })
  const port = await freePort()
  await writeFile(path('authorized_keys'), `${authorized.join('\n')}\n`, { mode: 0o600 })
  const config = {
    Port: port,
    ListenAddress: '127.0.0.1',
    HostKey: path('host_key'),
    AuthorizedKeysFile: path('authorized_keys'),
    PidFile: 'none',
    UsePAM: 'no',
    StrictModes: 'no',
    PasswordAuthentication: 'no',
    KbdInteractiveAuthentication: 'no',
    PermitRootLogin: 'prohibit-password',
    LogLevel: 'VERBOSE',
  }
  const lines = Object.entries(config).map(([name, value]) => `${name} ${value}\n`)
  await writeFile(path('config'), lines.join(''))

  let log = ''
  let child: ReturnType<typeof spawn> | undefined
  const start = async (hostKey?: string) => {
    if (hostKey) await writeFile(path('host_key'), hostKey, { mode: 0o600 })
    child = spawn(program, ['-D', '-e', '-f', path('config')], { stdio: ['ignore', 'ignore', 'pipe'] })
    const started = log.length
    await new Promise<void>((resolve, reject) => {
      child!.stderr!.on('data', (chunk: Buffer) => {
        log += chunk
        if (log.slice(started).includes('Server listening')) resolve()
      })
      child!.once('error', reject).once('exit', (code) => reject(new Error(`sshd exited with code ${code}: ${log.slice(started)}`)))
    })
  }
  const stop = async () => {
    const ended = child && child.exitCode === null && new Promise((resolve) => child!.once('exit', resolve))
    child?.kill('SIGTERM')
    await ended
  }
  const fingerprintOf = async () => (await run('ssh-keygen', ['-lf', path('host_key')])).stdout.split(' ')[1]!
  await start(newHostKey())
  return {
    ...{ host: '127.0.0.1', port, user: userInfo().username, fingerprint: await fingerprintOf() },
    log: () => log,
    stop,
    restart: start,
    async close() {
      await stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
