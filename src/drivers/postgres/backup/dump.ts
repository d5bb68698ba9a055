/** Runs PostgreSQL's own `pg_dump` and `pg_restore`, with the lowest priority. They connect as the role of the database, never with other rights. */
import { execFile, spawn } from 'node:child_process'
import { dirname, join } from 'node:path'
import { pipeline, type Readable, type Writable } from 'node:stream'
import { promisify } from 'node:util'
import type { BackupErrorCode } from '../../../domain/resources/backup/ports.ts'
import type { DatabaseSpec } from '../../../domain/resources/database/ports.ts'
import { PortError } from '../../../platform/errors.ts'
import { type ArchiveDigest, createDigest } from './archive.ts'
import type { RunningTask } from './low-priority.ts'

export type Login = Pick<DatabaseSpec, 'host' | 'port' | 'databaseName' | 'username' | 'password'>

const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Throws PortError NOT_SUPPORTED unless there is a `pg_dump` that can dump a server of this version. */
export async function demandPgDump(program: string | undefined, serverVersion: string): Promise<string> {
  const server = Number.parseInt(serverVersion, 10)
  const advice = `Set PG_DUMP to the path of pg_dump ${server} or newer, with pg_restore beside it.`
  if (program === undefined)
    throw unsupported(`The database is on the server of MANAGED_POSTGRES_URL, whose backups require pg_dump. ${advice}`)
  const { stdout } = await promisify(execFile)(program, ['--version'], { env: { PATH: path } }).catch(() => ({ stdout: '' }))
  const version = /\(PostgreSQL\) (\d+(\.\d+)?)/.exec(stdout)?.[1]
  if (version === undefined) throw unsupported(`The program in PG_DUMP is not pg_dump. ${advice}`)
  if (Number.parseInt(version, 10) >= server) return program
  throw unsupported(`pg_dump ${version} is older than the server, which is PostgreSQL ${serverVersion}. ${advice}`)
}

const unsupported = (text: string): PortError<BackupErrorCode> => new PortError('NOT_SUPPORTED', text)

/** Dumps the content of a database as an exported snapshot shows it. */
export function startDump(
  program: string,
  login: Login,
  snapshot: string,
  signal: AbortSignal,
): Pick<RunningTask<ArchiveDigest>, 'output' | 'result'> {
  const { output, ended } = start(program, ['--format=custom', '--no-owner', '--no-privileges', `--snapshot=${snapshot}`], login, signal)
  const digest = createDigest()
  // Its result has the reason.
  pipeline(output, digest.stream, () => {})
  return { output: digest.stream, result: ended.then(digest.result) }
}

/** Restores a dump into an empty database, all of it or nothing. */
export function startRestore(pgDump: string, login: Login, signal: AbortSignal): Pick<RunningTask<void>, 'input' | 'result'> {
  const arguments_ = ['--no-owner', '--no-privileges', '--single-transaction', `--dbname=${login.databaseName}`]
  const { input, ended } = start(join(dirname(pgDump), 'pg_restore'), arguments_, login, signal)
  return { input, result: ended }
}

type Program = { input: Writable; output: Readable; ended: Promise<void> }

function start(program: string, parameters: readonly string[], login: Login, signal: AbortSignal): Program {
  const { host, port, databaseName, username, password } = login
  const environment = { PGHOST: host, PGPORT: String(port), PGDATABASE: databaseName, PGUSER: username, PGPASSWORD: password }
  const child = spawn('nice', ['-n', '19', program, ...parameters], { env: { PATH: path, LC_ALL: 'C', TZ: 'UTC', ...environment } })
  child.stdin.on('error', () => {})
  let printed = ''
  child.stderr.on('data', (bytes: Buffer) => {
    printed = (printed + bytes).slice(-10_000)
  })
  const stop = () => child.kill('SIGKILL')
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      signal.removeEventListener('abort', stop)
      if (signal.aborted) reject(signal.reason)
      else if (code === 0) resolve()
      else reject(new ProgramError(printed))
    })
  })
  return { input: child.stdin, output: child.stdout, ended }
}

/** The program has failed. `reason` is the error that it printed. */
export class ProgramError extends Error {
  readonly reason: string
  constructor(printed: string) {
    const reason = /error: (.*)/.exec(printed)?.[1] ?? 'It ended without a reason.'
    super(reason)
    this.reason = reason
  }
  /** Whether it says something about the content, and not about the server or the connection. */
  get isFinding(): boolean {
    return !/connection|terminat|No space|could not connect|server closed|recovery mode|shutting down/i.test(this.reason)
  }
}
