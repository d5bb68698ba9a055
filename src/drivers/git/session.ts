/**
 * A session on one repository: a private folder with a bare repository, its own git configuration and an empty home, so that the host's
 * git settings have no effect. The folder is removed when the session ends, also after an error.
 */
import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { RepositoryRef, SourceFailureCode } from '../../domain/deploys/deployment/ports.ts'
import type { StepIo } from '../../domain/deploys/instance/ports.ts'
import { PortError } from '../../platform/errors.ts'
import { isAlive, markOf } from '../../platform/process-mark.ts'
import { type GitResult, runGit } from './command.ts'
import { contextOf, explainFailure } from './failure.ts'
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
  /** Creates the bare repository, for hashes of this length. */
  init(hash: string): Promise<void>
  /** Runs a git command that connects to the remote `origin`. Its stderr goes to the log. A failure is returned, not thrown. */
  network(args: string[]): Promise<GitResult>
  /** Runs a git command on what was fetched, without network access. A failure is returned, not thrown. */
  local(args: string[], options?: RunOptions): Promise<GitResult>
  /** Like `local`, but throws PortError for a failure. */
  mustLocal(args: string[], options?: RunOptions): Promise<GitResult>
  say(text: string): Promise<void>
}

/** Throws PortError, `signal.reason`, or the error of `work`. */
export async function withSession<T>(
  repository: RepositoryRef,
  settings: GitSettings,
  io: StepIo,
  work: (session: GitSession) => Promise<T>,
): Promise<T> {
  refuseBadCredential(repository.credential)
  const folder = await makeFolder(settings.workDir)
  try {
    const sshKeyFile = await writeKeyFile(repository, folder)
    const transport = await openTransport(repository, sshKeyFile === null ? settings : { ...settings, sshKeyFile }, io.signal)
    return await work(await openSession({ repository, transport, settings, io, folder }))
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 })
  }
}

/** ssh reads keys only from files and agents. The file lives as long as the session. */
async function writeKeyFile({ sshKey }: RepositoryRef, folder: string): Promise<string | null> {
  if (sshKey === null) return null
  const path = join(folder, 'identity')
  await writeFile(path, sshKey, { mode: 0o600 })
  return path
}

/** git reads one line from askpass for each value. */
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
  // `none` is not a protocol, so a local command cannot fetch a missing object.
  const localEnv = env('none')
  const common = { cwd: home, signal: io.signal, redact, fileBytes: settings.limits.treeBytes }

  const local = (args: string[], options: RunOptions = {}) =>
    runGit({ ...common, ...options, args: [`--git-dir=${gitDirectory}`, ...args], env: localEnv, output: null })
  const mustLocal = async (args: string[], options: RunOptions = {}) => {
    const result = await local(args, options)
    if (result.exitCode !== 0) throw explainFailure(result, contextOf(transport, repository))
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

/** Answers git's prompts `Username for …` and `Password for …`. The values are only in the environment of git, never in a file. */
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
  // Bundle URIs would be downloaded without a check by the egress guard. A single pack file, so that the limit on its size applies.
  section('transfer', { bundleURI: 'false', unpackLimit: '1', credentialsInUrl: 'die' }),
  section('fetch', { recurseSubmodules: 'false', writeCommitGraph: 'false' }),
  section('submodule', { recurse: 'false' }),
  section('gc', { auto: '0' }),
  section('maintenance', { auto: 'false' }),
  section('advice', { detachedHead: 'false' }),
].join('')

/** `session-<pid>-<start time>-<boot>-…`: the name identifies the owner, also to later processes. */
const FOLDER = /^session-(\d+)-(\d+)-([0-9a-f-]{36})-[^-]+$/
/** Age at which a folder without a known owner counts as left behind: longer than any step may take. */
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

/** Removes the folders of processes that were killed. */
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
