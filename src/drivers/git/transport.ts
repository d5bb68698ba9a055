/**
 * How one repository is reached: its URL is checked, its host resolved once by the egress guard, and git configured to connect only to
 * the resolved address.
 */
import { connect } from 'node:net'
import { join } from 'node:path'
import type { RepositoryRef, SourceFailureCode } from '../../domain/deploys/deployment/ports.ts'
import { abortable } from '../../platform/clock.ts'
import { EgressError } from '../../platform/egress.ts'
import { PortError } from '../../platform/errors.ts'
import { parseRepositoryUrl, type RepositoryAddress } from '../../platform/repository-url.ts'
import { checkFileRoot, findGitDirectory } from './file-root.ts'
import type { GitSettings } from './options.ts'

export type Transport = {
  protocol: RepositoryAddress['transport']
  /** URL that git gets for the repository. */
  remote: string
  /** Scheme, host and port; null for file:. Credentials are sent only there. */
  origin: string | null
  /** Lines for the git configuration file. */
  config: string
  env: Record<string, string>
}

/** Throws PortError SOURCE_REJECTED. Resolves the links of file: paths; does not use the network. */
export function parseAddress(url: string, settings: GitSettings): RepositoryAddress {
  const address = parseRepositoryUrl(url)
  if ('reason' in address) throw new PortError<SourceFailureCode>('SOURCE_REJECTED', `The repository URL is not valid: ${address.reason}.`)
  if (address.transport === 'file') checkFileRoot(address.path, settings)
  return address
}

/** Scheme, host and port of a remote. Null for file:. */
export function originOf(address: RepositoryAddress): string | null {
  if (address.transport === 'file') return null
  return address.transport === 'ssh' ? `ssh://${address.host}:${address.port}` : address.origin
}

/** Throws PortError, or `signal.reason`. */
export async function openTransport(repository: RepositoryRef, settings: GitSettings, signal: AbortSignal): Promise<Transport> {
  const address = parseAddress(repository.url, settings)
  if (address.transport === 'file') return fileTransport(findGitDirectory(address.path, settings))
  const checked = await checkedAddresses(address, settings, signal)
  const pinned = await firstReachable(checked, address.host, address.port, settings.limits.connectMs, signal)
  return address.transport === 'ssh' ? sshTransport(address, pinned, settings) : httpTransport(address, pinned, settings)
}

/** Resolves and checks a host. Plain http is allowed only for exempt addresses. Throws PortError, or `signal.reason`. */
export async function checkedAddresses(
  target: { transport: 'http' | 'https' | 'ssh'; host: string },
  settings: Pick<GitSettings, 'guard'>,
  signal: AbortSignal,
): Promise<{ address: string; family: 4 | 6 }[]> {
  try {
    const addresses = await abortable(settings.guard.resolve(target.host), signal)
    if (target.transport !== 'http' || settings.guard.isExempt(addresses)) return addresses
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
    if (error.reason === 'blocked') throw new PortError<SourceFailureCode>('SOURCE_REJECTED', error.message, { cause: error })
    throw new PortError<SourceFailureCode>('SOURCE_UNREACHABLE', error.message, { hint: 'Check the host in the URL.', cause: error })
  }
  throw new PortError<SourceFailureCode>('SOURCE_REJECTED', 'Plain http is allowed only for addresses in EGRESS_ALLOW.', {
    hint: 'Use the https URL of the repository.',
  })
}

function fileTransport(gitDirectory: string): Transport {
  // git reads safe.directory only from a configuration file, not from `-c`. Its child upload-pack reads the same file.
  const config = section('safe', { directory: gitDirectory }) + section('uploadpack', { allowFilter: 'true', allowAnySHA1InWant: 'true' })
  return { protocol: 'file', remote: gitDirectory, origin: null, config, env: {} }
}

function httpTransport(address: RepositoryAddress & { transport: 'http' | 'https' }, pinned: string, settings: GitSettings): Transport {
  const ip = pinned.includes(':') ? `[${pinned}]` : pinned
  const isLiteral = address.host.includes(':')
  const config = section('http', {
    // A redirect would lead to a host that has not been checked.
    followRedirects: 'false',
    ...(isLiteral ? {} : { curloptResolve: `${address.host}:${address.port}:${ip}` }),
    lowSpeedLimit: '1',
    lowSpeedTime: String(Math.max(1, Math.ceil(settings.limits.stallMs / 1000))),
    ...(settings.caFile === undefined ? {} : { sslCAInfo: settings.caFile }),
  })
  return { protocol: address.transport, remote: address.remote, origin: originOf(address), config, env: {} }
}

function sshTransport(address: RepositoryAddress & { transport: 'ssh' }, pinned: string, settings: GitSettings): Transport {
  const alias = address.port === 22 ? address.host : `[${address.host}]:${address.port}`
  const seconds = String(Math.max(1, Math.ceil(settings.limits.connectMs / 1000)))
  const options = {
    BatchMode: 'yes',
    HostName: pinned,
    HostKeyAlias: alias,
    StrictHostKeyChecking: 'accept-new',
    UserKnownHostsFile: join(settings.workDir, 'known_hosts'),
    GlobalKnownHostsFile: '/dev/null',
    // ssh takes its default keys from the account's home directory, not from HOME.
    IdentityFile: settings.sshKeyFile ?? 'none',
    IdentitiesOnly: 'yes',
    IdentityAgent: 'none',
    ProxyCommand: 'none',
    ClearAllForwardings: 'yes',
    ConnectTimeout: seconds,
    ServerAliveInterval: seconds,
    ServerAliveCountMax: '2',
  }
  const words = ['ssh', '-F', 'none', ...Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${sshValue(value)}`])]
  return {
    protocol: 'ssh',
    remote: address.remote,
    origin: originOf(address),
    config: '',
    env: { GIT_SSH_COMMAND: words.map(shellWord).join(' '), GIT_SSH_VARIANT: 'ssh' },
  }
}

/**
 * Returns the first of the checked addresses that accepts a connection: git would wait minutes for one that does not respond, and ssh
 * accepts only one.
 */
async function firstReachable(
  addresses: { address: string; family: 4 | 6 }[],
  host: string,
  port: number,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<string> {
  let reason = 'it has no address'
  for (const { address, family } of addresses) {
    const failure = await tryConnect(address, family, port, timeoutMs, signal)
    if (failure === null) return address
    reason = failure
  }
  throw new PortError<SourceFailureCode>('SOURCE_UNREACHABLE', `${host} cannot be reached at port ${port}: ${reason}.`, {
    hint: 'Check the host and port in the URL, and make sure that this machine can connect to them.',
  })
}

async function tryConnect(host: string, family: number, port: number, timeoutMs: number, signal: AbortSignal): Promise<string | null> {
  signal.throwIfAborted()
  const socket = connect({ host, family, port })
  const failure = await new Promise<string | null>((resolve) => {
    const end = (reason: string | null) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      socket.destroy()
      resolve(reason)
    }
    const abort = () => end('aborted')
    const timer = setTimeout(() => end(`no connection within ${timeoutMs} ms`), timeoutMs)
    signal.addEventListener('abort', abort)
    socket.once('connect', () => end(null))
    socket.once('error', (error: NodeJS.ErrnoException) =>
      end(error.code === 'ECONNREFUSED' ? 'connection refused' : (error.code ?? 'no connection')),
    )
  })
  signal.throwIfAborted()
  return failure
}

/** A section of a git configuration file. Values may contain anything but line ends. */
export function section(name: string, values: Record<string, string>): string {
  const lines = Object.entries(values).map(([key, value]) => `\t${key} = "${value.replace(/[\\"]/g, '\\$&')}"\n`)
  return `[${name}]\n${lines.join('')}`
}

/** ssh reads `%` as the start of a token and a space as the end of a value. */
function sshValue(value: string): string {
  const escaped = value.replaceAll('%', '%%')
  return /\s/.test(escaped) ? `"${escaped}"` : escaped
}

function shellWord(word: string): string {
  return /^[\w./:=@-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
