import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

export type ProcessKind = 'server' | 'worker'
export type RecordedProcess = { pid: number; kind: ProcessKind }

const folder = (dataDir: string) => join(dataDir, 'processes')
const pidFile = (dataDir: string) => join(dataDir, 'server.pid')

/**
 * Puts down that this process runs on `dataDir`, for `npm stop`; a server's pid stands in `server.pid` too, for people. Gives the end
 * of it. What a killed process leaves behind does no harm: a record counts only while its pid still belongs to it.
 */
export async function recordProcess(dataDir: string, kind: ProcessKind): Promise<() => Promise<void>> {
  const record = join(folder(dataDir), String(process.pid))
  await mkdir(folder(dataDir), { recursive: true, mode: 0o700 })
  // Written aside and renamed: a reader never meets half of it.
  await writeFile(join(dataDir, `processes.${process.pid}`), JSON.stringify({ kind, started: await startOf(process.pid) }), { mode: 0o600 })
  await rename(join(dataDir, `processes.${process.pid}`), record)
  if (kind === 'server') await writeFile(pidFile(dataDir), `${process.pid}\n`, { mode: 0o600 })
  return async () => {
    await rm(record, { force: true })
    const serving = await readFile(pidFile(dataDir), 'utf8').catch(() => '')
    if (serving.trim() === String(process.pid)) await rm(pidFile(dataDir), { force: true })
  }
}

/** The processes that run on `dataDir` now. Records of dead ones are removed. */
export async function listProcesses(dataDir: string): Promise<RecordedProcess[]> {
  const names = await readdir(folder(dataDir)).catch(() => [])
  const found = names.map(async (name): Promise<RecordedProcess[]> => {
    const pid = Number(name)
    const { kind, started } = JSON.parse(await readFile(join(folder(dataDir), name), 'utf8').catch(() => '{}'))
    if (started !== undefined && started === (await startOf(pid))) return [{ pid, kind }]
    await rm(join(folder(dataDir), name), { force: true })
    return []
  })
  return (await Promise.all(found)).flat()
}

/** When a process began, in the system's own words; null when there is none (a dead one that nobody has reaped is none). */
async function startOf(pid: number): Promise<string | null> {
  if (process.platform !== 'linux') {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'lstart=', '-p', String(pid)]).catch(() => ({ stdout: '' }))
    return stdout.trim() || null
  }
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)
  if (stat === null) return null
  // Behind the name, which stands in parentheses and may hold anything: the state first, the start in ticks as the 20th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' ? null : (fields[19] ?? null)
}
