/**
 * One repository while it is worked with: a private folder with a bare repository, a configuration of its own and a home that
 * is empty, so that nothing of the host's git settings counts. The folder is gone when the work ends, however it ends.
 */
import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { RepositoryRef, SourceFailureCode } from '../../domain/deploys/deployment/ports.ts'
import type { StepIo } from '../../domain/deploys/instance/ports.ts'
import { PortError } from '../../platform/errors.ts'
import { isAlive, markOf } from '../../platform/process-mark.ts'
import { type GitResult, runGit } from './command.ts'
import { explainFailure } from './failure.ts'
import type { GitSettings } from './options.ts'
import { createRedactor } from './redactor.ts'
import { openTransport, section, type Transport } from './transport.ts'

export type RunOptions = { stdin?: string; onStdout?: (chunk: Buffer) => void }

export type GitSession = {
  repository: RepositoryRef
  transport: Transport
  io: StepIo
  settings: GitSettings
  /** The bare repository. */
  gitDirectory: string
  /** Makes the bare repository for hashes of this length. */
  init(hash: string): Promise<void>
  /** Talks with the remote, as `origin`; its stderr goes to the log. A failure is a result. */
  network(args: string[]): Promise<GitResult>
  /** Works on what was fetched; may reach nothing. A failure is a result. */
  local(args: string[], options?: RunOptions): Promise<GitResult>
  /** The same, but a failure is thrown as PortError. */
  mustLocal(args: string[], options?: RunOptions): Promise<GitResult>
  say(text: string): Promise<void>
}

/** Throws PortError, `signal.reason`, or what `work` threw. */
export async function withSession<T>(
  repository: RepositoryRef,
  settings: GitSettings,
  io: StepIo,
  work: (session: GitSession) => Promise<T>,
): Promise<T> {
  refuseBadCredential(repository.credential)
  const transport = await openTransport(repository, settings, io.signal)
  const folder = await makeFolder(settings.workDir)
  try {
    return await work(await openSession({ repository, transport, settings, io, folder }))
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 })
  }
}

/** One line each is what git reads from askpass. */
function refuseBadCredential(credential: RepositoryRef['credential']): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (credential !== null && /[\u0000-\u001f\u007f]/.test(credential.username + credential.password))
    throw new PortError<SourceFailureCode>('SOURCE_REJECTED', 'The repository credential contains a control character.')
}

async function openSession(parts: {
  repository: RepositoryRef
  transport: Transport
  settings: GitSettings
  io: StepIo
  folder: string
}): Promise<GitSession> {
  const { repository, transport, settings, io, folder } = parts
  const { credential } = repository
  const redact = createRedactor(credential, folder)
  const home = join(folder, 'home')
  const gitDirectory = join(folder, 'repository.git')
  const configFile = join(folder, 'config')
  const askpass = join(folder, 'askpass')
  await mkdir(home)
  await writeFile(configFile, baseConfig + section('remote "origin"', { url: transport.remote }) + transport.config)
  await writeFile(askpass, ASKPASS, { mode: 0o700 })

  const env = (protocol: string): Record<string, string> => ({
    PATH: settings.hostPath,
    HOME: home,
    XDG_CONFIG_HOME: home,
    LC_ALL: 'C.UTF-8',
    LANGUAGE: 'en',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: configFile,
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ALLOW_PROTOCOL: protocol,
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_CEILING_DIRECTORIES: folder,
  })
  const networkEnv = {
    ...env(transport.protocol),
    ...transport.env,
    ...(credential === null
      ? {}
      : { GIT_ASKPASS: askpass, QUAYSIDE_GIT_USERNAME: credential.username, QUAYSIDE_GIT_PASSWORD: credential.password }),
  }
  // `none` is no protocol, so that nothing local can fetch a missing object by itself.
  const localEnv = env('none')
  const common = { cwd: home, signal: io.signal, redact, fileBytes: settings.limits.treeBytes }

  const local = (args: string[], options: RunOptions = {}) =>
    runGit({ ...common, ...options, args: [`--git-dir=${gitDirectory}`, ...args], env: localEnv, output: null })
  const mustLocal = async (args: string[], options: RunOptions = {}) => {
    const result = await local(args, options)
    if (result.exitCode !== 0) throw explainFailure(result, { transport: transport.protocol, hasCredential: credential !== null })
    return result
  }
  return {
    repository,
    transport,
    io,
    settings,
    gitDirectory,
    local,
    mustLocal,
    network: (args) => runGit({ ...common, args: [`--git-dir=${gitDirectory}`, ...args], env: networkEnv, output: io.output }),
    async init(hash) {
      const format = hash.length === 64 ? 'sha256' : 'sha1'
      await mustLocal(['init', '--quiet', '--bare', '--template=', `--object-format=${format}`, gitDirectory])
    },
    async say(text) {
      await io.output('system', Buffer.from(`${redact(text)}\n`))
    },
  }
}

/** git asks `Username for …` and `Password for …`; the answers stand in the environment of git alone, never in a file. */
const ASKPASS = `#!/bin/sh
case "$1" in
Username*) printf '%s\\n' "$QUAYSIDE_GIT_USERNAME" ;;
*) printf '%s\\n' "$QUAYSIDE_GIT_PASSWORD" ;;
esac
`

const baseConfig = [
  section('protocol', { allow: 'never' }),
  section('protocol "ext"', { allow: 'never' }),
  section('core', { hooksPath: '/dev/null', askPass: '', fsmonitor: 'false', autocrlf: 'false', symlinks: 'true' }),
  section('credential', { helper: '' }),
  // A server may name further places to download from; those would be reached unchecked. One pack file, so that its size is bounded.
  section('transfer', { bundleURI: 'false', unpackLimit: '1', credentialsInUrl: 'die' }),
  section('fetch', { recurseSubmodules: 'false', writeCommitGraph: 'false' }),
  section('submodule', { recurse: 'false' }),
  section('gc', { auto: '0' }),
  section('maintenance', { auto: 'false' }),
  section('advice', { detachedHead: 'false' }),
].join('')

/** `session-<pid>-<start time>-<boot>-…`: whose it is can be told from the name, also by a process that comes later. */
const FOLDER = /^session-(\d+)-(\d+)-([0-9a-f-]{36})-[^-]+$/
/** Where no process can be marked: longer than any step may take, so that a folder in use is never taken for a leftover. */
const LEFTOVER_MS = 60 * 60 * 1000

async function makeFolder(workDir: string): Promise<string> {
  const mark = markOf(process.pid)
  const owner = mark === null ? 'unmarked' : `${mark.pid}-${mark.startTime}-${mark.bootId}`
  try {
    await mkdir(workDir, { recursive: true, mode: 0o700 })
    const folder = await mkdtemp(join(workDir, `session-${owner}-`))
    await chmod(folder, 0o700)
    return folder
  } catch (error) {
    throw fullDisk(error) ?? error
  }
}

/** Removes what a process that was killed left behind. */
export async function removeLeftovers(workDir: string): Promise<void> {
  for (const name of await readdir(workDir).catch(() => [])) {
    const path = join(workDir, name)
    if (name.startsWith('session-') && (await isLeftover(path, name))) await rm(path, { recursive: true, force: true, maxRetries: 3 })
  }
}

async function isLeftover(path: string, name: string): Promise<boolean> {
  const [, pid, startTime = '', bootId = ''] = FOLDER.exec(name) ?? []
  if (pid !== undefined) return !isAlive({ pid: Number(pid), startTime, bootId })
  const stats = await stat(path).catch(() => null)
  return stats !== null && Date.now() - stats.mtimeMs > LEFTOVER_MS
}

/** The PortError for a full disk or quota; null for any other error. */
export function fullDisk(error: unknown): PortError<SourceFailureCode | 'NO_CAPACITY'> | null {
  const code = (error as NodeJS.ErrnoException | null)?.code
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return null
  return new PortError('NO_CAPACITY', 'There is not enough disk space for the source.', {
    hint: 'Free space on the disk of DATA_DIR.',
    cause: error,
  })
}
