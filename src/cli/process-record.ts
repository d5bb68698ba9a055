import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { readProcess } from '../platform/process-mark.ts'
import { writeWhole } from '../platform/whole-file.ts'

export type ProcessKind = 'server' | 'worker'
/** `port` is null for a worker, and for a server that doesn't listen yet. */
export type RecordedProcess = { pid: number; kind: ProcessKind; serving: boolean; port: number | null }

export type ProcessRecord = {
  /** Records that the process is ready. For a server, also writes its pid to `server.pid`, for operators, unless that names another that runs. */
  serving(port: number | null): Promise<void>
  /** Removes the record. If `server.pid` names this process, it then names another server that runs, or is removed. */
  forget(): Promise<void>
}

const folder = (dataDir: string) => join(dataDir, 'processes')
const pidFile = (dataDir: string) => join(dataDir, 'server.pid')

/**
 * Records that this process uses `dataDir`, for `npm stop`, and removes the records of dead processes. The record of a killed process does no
 * harm: it is valid only while its pid still belongs to that process.
 */
export async function recordProcess(dataDir: string, kind: ProcessKind): Promise<ProcessRecord> {
  const record = join(folder(dataDir), String(process.pid))
  await mkdir(folder(dataDir), { recursive: true, mode: 0o700 })
  await listProcesses(dataDir)
  const started = await startOf(process.pid)
  const draft = `${record}.draft`
  const write = (serving: boolean, port: number | null) => writeWhole(record, JSON.stringify({ kind, started, serving, port }), { draft })
  const writePid = (pid: number) => writeWhole(pidFile(dataDir), `${pid}\n`, { draft })
  await write(false, null)
  return {
    async serving(port) {
      await write(true, port)
      if (kind !== 'server') return
      const named = await namedServer(dataDir)
      const isTaken = (await servingServers(dataDir)).some(({ pid }) => String(pid) === named)
      if (!isTaken) await writePid(process.pid)
    },
    async forget() {
      await rm(record, { force: true })
      if ((await namedServer(dataDir)) !== String(process.pid)) return
      const [next] = await servingServers(dataDir)
      if (next) await writePid(next.pid)
      else await rm(pidFile(dataDir), { force: true })
    },
  }
}

const servingServers = async (dataDir: string) => (await listProcesses(dataDir)).filter(({ kind, serving }) => kind === 'server' && serving)

/** The pid in `server.pid`. Empty if there is none. */
const namedServer = async (dataDir: string): Promise<string> => (await readFile(pidFile(dataDir), 'utf8').catch(() => '')).trim()

/** The running processes of `dataDir`. Removes the records of dead ones. */
export async function listProcesses(dataDir: string): Promise<RecordedProcess[]> {
  const names = await readdir(folder(dataDir)).catch(() => [])
  const found = names.map(async (name): Promise<RecordedProcess[]> => {
    const pid = Number.parseInt(name, 10)
    const now = await startOf(pid)
    // A draft is left alone while its writer is alive.
    const isDraft = name.endsWith('.draft')
    if (isDraft && now !== null) return []
    const text = isDraft ? '{}' : await readFile(join(folder(dataDir), name), 'utf8').catch(() => '{}')
    const { kind, started, serving, port } = JSON.parse(text)
    if (started !== undefined && started === now) return [{ pid, kind, serving, port }]
    await rm(join(folder(dataDir), name), { force: true })
    return []
  })
  return (await Promise.all(found)).flat()
}

/** Start time of a process in the system's own format; null if it isn't running. A zombie doesn't count as running. */
async function startOf(pid: number): Promise<string | null> {
  if (process.platform !== 'linux') {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'lstart=', '-p', String(pid)]).catch(() => ({ stdout: '' }))
    return stdout.trim() || null
  }
  return readProcess(pid)?.startTime ?? null
}
