/**
 * One SSH session on an open socket: handshake, login, one command. Each stage has its own timeout, and what the host may send in each is
 * bounded. Whatever happens, the socket is destroyed at the end.
 */
import type { Socket } from 'node:net'
import type { Client } from 'ssh2'
import type { HostKey, SshTarget } from '../../domain/apps/server/ports.ts'
import { StageError } from './failure.ts'
import { hostKeyAlgorithms, hostKeyOf } from './host-key.ts'
import { type Credential, createLogin } from './login.ts'

/** Loaded when it is first used: an installation without registered servers never needs it. */
const ssh2 = async () => (await import('ssh2')).default

/** An ordinary handshake has a few kilobytes. */
const maxHandshakeBytes = 128 * 1024
export const maxOutputBytes = 64 * 1024

/** Each has a timeout of its own, in milliseconds. */
export type Stage = 'handshake' | 'login' | 'command'

const doing: Record<Stage, string> = {
  handshake: 'complete the SSH handshake',
  login: 'answer the login',
  command: 'run the command that reads its facts',
}

/** What the session has shown so far. */
export type Seen = {
  /** A key that the host has proved to have or, if it was refused, the one that it presented. */
  hostKey: HostKey | null
}

type Session = { target: SshTarget; script: string; timeoutsMs: Record<Stage, number>; seen: Seen }

/** Returns the output of the script, and destroys the socket. Throws StageError, or `signal.reason`. */
export async function runScript(socket: Socket, session: Session, signal: AbortSignal): Promise<string> {
  const { target, script, timeoutsMs, seen } = session
  const { promise: ended, reject } = Promise.withResolvers<never>()
  // It may be rejected while nothing waits for it.
  ended.catch(() => {})
  let stage: Stage = 'handshake'
  let timer: NodeJS.Timeout | undefined
  const enter = (next: Stage) => {
    stage = next
    clearTimeout(timer)
    const text = `${target.host} did not ${doing[next]} within ${timeoutsMs[next] / 1_000} s.`
    timer = setTimeout(() => reject(new StageError('TIMEOUT', text)), timeoutsMs[next])
  }
  const fail = (error: Error) => reject(failureAt(stage, target, error))
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort)
  // Paused, because what arrives before the client listens would be lost.
  socket.pause().on('data', () => {
    if (stage !== 'command' && socket.bytesRead > maxHandshakeBytes) fail(new Error('The server sent too much.'))
  })
  let client: Client | undefined
  try {
    signal.throwIfAborted()
    const { Client, utils } = await ssh2()
    client = new Client()
    // Several errors may have one cause, of which the first one counts.
    client.on('error', fail).on('close', () => fail(new Error('closed')))
    enter('handshake')
    const credential: Credential =
      'password' in target.credential ? target.credential : { key: singleKey(utils.parseKey(target.credential.privateKey)) }
    await Promise.race([connectClient(client, socket, { target, credential, seen, reject, onLogin: () => enter('login') }), ended])
    enter('command')
    return await Promise.race([execute(client, script), ended])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
    client?.end()
    socket.destroy()
  }
}

const singleKey = (parsed: import('ssh2').ParsedKey | import('ssh2').ParsedKey[] | Error) => {
  if (parsed instanceof Error) throw new Error('a stored private key cannot be read', { cause: parsed })
  return [parsed].flat()[0]!
}

type Connecting = {
  target: SshTarget
  credential: Credential
  seen: Seen
  reject(reason: unknown): void
  onLogin(): void
}

/** Resolves when the client is logged in. Nothing of the credential is sent before the host has proved to have the accepted key. */
function connectClient(client: Client, socket: Socket, { target, credential, seen, reject, onLogin }: Connecting): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const login = createLogin(target.user, credential)
  let presented: HostKey | null = null
  client.on('handshake', () => {
    // Only now has the signature of the key been verified.
    seen.hostKey = presented
    onLogin()
  })
  client.on('change password', () =>
    reject(new StageError('LOGIN_REFUSED', `The password of ${target.user} has expired. Change it on the server first.`)),
  )
  client.on('ready', resolve)
  client.connect({
    sock: socket,
    username: target.user,
    readyTimeout: 0,
    keepaliveInterval: 0,
    algorithms: { serverHostKey: hostKeyAlgorithms(target.hostKey) },
    hostVerifier(blob: Buffer) {
      presented = hostKeyOf(blob)
      if (presented !== null && (target.hostKey === null || presented.fingerprint === target.hostKey.fingerprint)) return true
      reject(refusedKey(target, presented))
      seen.hostKey = presented
      return false
    },
    authHandler(accepted, partial, callback) {
      const method = login.next(accepted, partial)
      if (method === false) return reject(new StageError('LOGIN_REFUSED', login.refusal()))
      callback(method)
    },
  })
  return promise
}

function refusedKey({ host, hostKey }: SshTarget, presented: HostKey | null): StageError {
  if (presented === null || hostKey === null) return new StageError('NOT_SSH', `${host} presented a host key that cannot be read.`)
  const keys = `It has ${presented.fingerprint} (${presented.type}), and ${hostKey.fingerprint} (${hostKey.type}) is pinned.`
  return new StageError(
    'HOST_KEY_CHANGED',
    `The host key of ${host} has changed. ${keys} No credentials were sent. If the machine was reinstalled, accept the new key; otherwise somebody may be intercepting the connection.`,
  )
}

/** Runs a script by `sh`, and returns what it prints, cut to the limit. */
function execute(client: Client, script: string): Promise<string> {
  return new Promise((resolve, reject) => {
    client.exec('sh', (error, channel) => {
      if (error) return reject(noShell('it refused to run a command'))
      const chunks: Buffer[] = []
      let size = 0
      let code: number | null = null
      const end = () => {
        if (code === 127 || code === 126) return reject(noShell('it found no sh'))
        resolve(Buffer.concat(chunks).toString('utf8').slice(0, maxOutputBytes))
      }
      channel.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        size += chunk.length
        if (size >= maxOutputBytes) end()
      })
      channel.stderr.resume()
      channel.on('exit', (exitCode: number | null) => {
        code = exitCode
      })
      channel.on('error', () => {}).on('close', end)
      channel.end(script)
    })
  })
}

export const noShell = (reason: string): StageError =>
  new StageError('NO_SHELL', `The login succeeded, but the account cannot run commands: ${reason}. Give the account a shell.`)

/** What an error of the client means, at the stage that it was in. */
function failureAt(stage: Stage, { host, user }: SshTarget, error: Error & { level?: string; code?: unknown }): StageError {
  if (stage === 'handshake') {
    if (/no matching/i.test(error.message))
      return new StageError('NO_COMMON_ALGORITHM', `${host} offers only SSH algorithms that are not accepted, because they are not secure.`)
    if (error.level === 'client-socket' || error.message === 'closed' || /lost before handshake/i.test(error.message))
      return new StageError('UNREACHABLE', `${host} closed the connection before the SSH handshake was complete.`)
    return new StageError('NOT_SSH', `What listens at this port of ${host} is not an SSH server. Check the port.`)
  }
  // With a number, the host said itself that it ends the connection.
  if (stage === 'login' && typeof error.code === 'number')
    return new StageError('LOGIN_REFUSED', `The server ended the connection instead of accepting the login of ${user}.`)
  return new StageError('UNREACHABLE', `${host} closed the connection while it was to ${doing[stage]}.`)
}
