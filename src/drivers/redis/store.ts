/**
 * The state of servers on disk, from which any process of the control plane, now or later, knows them. Each start of a server is a run: it is
 * claimed by the process that starts it, then decided, and both are files that are created once, whichever processes try.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, open, readdir, readFile, rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { isAlive, markOf, type ProcessMark } from '../../platform/process-mark.ts'
import { createWhole } from '../../platform/whole-file.ts'

export type Launched = { process: ProcessMark; port: number; version: string }

/** The run with the highest number. `launched` is null if its start failed. */
export type Run = { number: number; launched: Launched | null }

export type ServerStore = {
  /** Directory of a server's data. */
  dataOf(id: string): string
  /** Creates the directories of a server, and the password of the control plane's account. */
  create(id: string): Promise<void>
  /** The current run, once it is not being started. Null before the first one. */
  read(id: string): Promise<Run | null>
  /** Claims the run with this number. False if another process was faster. */
  claim(id: string, number: number): Promise<boolean>
  /** Records that a claimed run is launched, or never will be. False if it has already been decided. */
  decide(id: string, number: number, launched: Launched | null): Promise<boolean>
  /** Decides that a claimed run is not launched, if it is not decided yet. Works on a full disk. */
  abandon(id: string, number: number): Promise<void>
  removeEarlierRuns(id: string, current: number): Promise<void>
  platformPassword(id: string): Promise<string>
  openLog(id: string): ReturnType<typeof open>
  /** The last line of the log; null if it is empty. */
  lastLine(id: string): Promise<string | null>
  limitLog(id: string): Promise<void>
  remove(id: string): Promise<void>
  list(): Promise<string[]>
}

const pollMs = 20
const maxLogBytes = 2 ** 20

export async function createServerStore(dataDir: string): Promise<ServerStore> {
  const servers = join(dataDir, 'redis')
  await mkdir(servers, { recursive: true, mode: 0o700 })
  const directoryOf = (id: string) => join(servers, fileName(id))
  const dataOf = (id: string) => join(directoryOf(id), 'data')
  const passwordOf = (id: string) => join(directoryOf(id), 'platform-password')
  const logOf = (id: string) => join(directoryOf(id), 'log')
  const claimOf = (id: string, number: number) => join(directoryOf(id), `claim-${number}.json`)
  const runOf = (id: string, number: number) => join(directoryOf(id), `run-${number}.json`)
  const claimsOf = async (id: string) => (await readdir(directoryOf(id)).catch(emptyIfMissing)).map(numberOf).filter((number) => number > 0)

  async function readRun(id: string): Promise<Run | 'claimed' | null> {
    const number = Math.max(0, ...(await claimsOf(id)))
    if (number === 0) return null
    const starter = await readJson<ProcessMark | null>(claimOf(id, number))
    const isStarting = starter && isAlive(starter)
    // Read after that: a starter that has ended decides nothing any more.
    const launched = await readJson<Launched | null>(runOf(id, number))
    if (launched === undefined && isStarting) return 'claimed'
    return { number, launched: launched ?? null }
  }

  return {
    dataOf,
    async create(id) {
      await mkdir(dataOf(id), { recursive: true, mode: 0o700 })
      await createWhole(passwordOf(id), randomBytes(32).toString('base64url'))
    },
    async read(id) {
      for (;;) {
        const run = await readRun(id)
        if (run !== 'claimed') return run
        await pause(pollMs)
      }
    },
    claim: (id, number) => createWhole(claimOf(id, number), JSON.stringify(markOf(process.pid)), { durable: false }),
    decide: (id, number, launched) => createWhole(runOf(id, number), JSON.stringify(launched), { durable: false }),
    async abandon(id, number) {
      // A run whose claim is removed never was.
      await createWhole(runOf(id, number), 'null', { durable: false }).catch(() => rm(claimOf(id, number), { force: true }))
    },
    async removeEarlierRuns(id, current) {
      const earlier = (await claimsOf(id)).filter((number) => number < current)
      for (const number of earlier) for (const file of [runOf, claimOf]) await rm(file(id, number), { force: true })
    },
    platformPassword: (id) => readFile(passwordOf(id), 'utf8'),
    openLog: (id) => open(logOf(id), 'a', 0o600),
    async lastLine(id) {
      const text = await readFile(logOf(id), 'utf8').catch(() => '')
      return text.trim().split('\n').at(-1) || null
    },
    async limitLog(id) {
      const size = (await stat(logOf(id)).catch(() => null))?.size ?? 0
      if (size > maxLogBytes) await truncate(logOf(id))
    },
    remove: (id) => rm(directoryOf(id), { recursive: true, force: true, maxRetries: 3 }),
    list: () => readdir(servers),
  }
}

/** Validates an id that becomes a file name. Throws TypeError for anything but letters, digits, `_` and `-`. */
function fileName(id: string): string {
  if (!/^[A-Za-z0-9_-]{1,100}$/.test(id)) throw new TypeError('The id cannot be used as a file name.')
  return id
}

const numberOf = (name: string) => Number(/^claim-(\d+)\.json$/.exec(name)?.[1] ?? 0)

function emptyIfMissing(error: NodeJS.ErrnoException): string[] {
  if (error.code !== 'ENOENT') throw error
  return []
}

async function readJson<Value>(file: string): Promise<Value | undefined> {
  const text = await readFile(file, 'utf8').catch(() => undefined)
  return text === undefined ? undefined : (JSON.parse(text) as Value)
}
