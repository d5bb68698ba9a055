/**
 * The state of instances on disk, from which any process of the control plane, now or later, knows them. Each start of an instance is a
 * run; the one with the highest number is the current run. A run is created by renaming a complete directory, and decided by creating its
 * launch file. Both can succeed only once, whichever processes try.
 */
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { mkdir, readdir, rename, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { EndCause } from '../../domain/deploys/instance/ports.ts'
import { bootId, isAlive, markOf, type ProcessMark, sinceBootMs } from '../../platform/process-mark.ts'
import { createWhole, writeWhole } from '../../platform/whole-file.ts'
import { fileName, type Layout } from './layout.ts'
import { parseReport, type Report, rootOf } from './report.ts'
import { type Sandbox, stoppingFile } from './sandbox.ts'
import { isErrno, removeTree } from './tree.ts'

/** Written by the process that starts a run, before it starts anything. */
export type Claim = { starter: ProcessMark | null; claimedAt: string; digest: string; kind: 'web' | 'worker' }

/** `watcher` is the process that waits for the command and reports its exit. */
export type Launched = { watcher: ProcessMark; port: number | null; secondPort?: number | null; startedAt: string }

export type Run = {
  instanceId: string
  directory: string
  number: number
  /** Name of its cell. Unique to the run, so that killing leftovers of one run never affects the next. */
  name: string
  claim: Claim
  /**
   * `claimed`: being started. `running`: launched and not ended. A run that is being stopped ends with its last process, any other one with
   * its first process. `ended`: also if it was never launched.
   */
  phase: 'claimed' | 'running' | 'ended'
  launched: Launched | null
  report: Report
  /** The root of its processes, including those that the command left running. */
  root: ProcessMark | null
  exitedAt: Date | null
  /** Why an ended run ended. */
  cause: EndCause
}

const noReport: Report = { rootPid: null, rootNamespace: null, exitCode: null }

export type InstanceStore = {
  directory(instanceId: string): string
  /** The current run, or null for an unknown instance. Only a few small reads, because requests wait for it. */
  read(instanceId: string): Run | null
  /** Creates the run after `former`. Null if another process was faster. */
  claim(instanceId: string, former: Run | null, claim: Pick<Claim, 'digest' | 'kind'>): Promise<string | null>
  /** Records that a run is launched, or never will be. False if it has already been decided. */
  decide(runDirectory: string, launched: Launched | null): Promise<boolean>
  /** For `graceMs`, the run counts as running as long as any of its processes is running. */
  beginStop(run: Run, graceMs: number): Promise<void>
  removeEarlierRuns(instanceId: string, present: number): Promise<void>
  list(): Promise<string[]>
}

export function createInstanceStore(layout: Layout, sandbox: Sandbox): InstanceStore {
  const directoryOf = (instanceId: string) => join(layout.instances, fileName(instanceId))
  return {
    directory: directoryOf,
    read: (instanceId) => readRun(sandbox, instanceId, directoryOf(instanceId)),
    async claim(instanceId, former, { digest, kind }) {
      const directory = directoryOf(instanceId)
      const draft = join(directory, `draft-${randomBytes(6).toString('hex')}`)
      await mkdir(draft, { recursive: true, mode: 0o700 })
      const claim: Claim = { starter: markOf(process.pid), claimedAt: new Date().toISOString(), digest, kind }
      await writeFile(join(draft, 'claim.json'), JSON.stringify(claim))
      const run = join(directory, `run-${(former?.number ?? 0) + 1}`)
      try {
        await rename(draft, run)
        return run
      } catch (error) {
        await removeTree(draft)
        if (isErrno(error, 'ENOTEMPTY', 'EEXIST')) return null
        throw error
      }
    },
    decide: (runDirectory, launched) => createWhole(join(runDirectory, 'launch.json'), JSON.stringify(launched), { durable: false }),
    beginStop: (run, graceMs) => writeWhole(join(run.directory, stoppingFile), JSON.stringify(sinceBootMs() + graceMs), { durable: false }),
    async removeEarlierRuns(instanceId, present) {
      const directory = directoryOf(instanceId)
      for (const name of await readdir(directory)) if (numberOf(name) < present) await removeTree(join(directory, name))
    },
    async list() {
      const names = await readdir(layout.instances)
      return names.filter((name) => !name.startsWith('.'))
    },
  }
}

export function runName(instanceId: string, runDirectory: string): string {
  return `${instanceId}-${basename(runDirectory)}`
}

function readRun(sandbox: Sandbox, instanceId: string, instanceDirectory: string): Run | null {
  const number = Math.max(0, ...readNames(instanceDirectory).map(numberOf).filter(Number.isFinite))
  if (number === 0) return null
  const directory = join(instanceDirectory, `run-${number}`)
  const claim = readJson<Claim>(join(directory, 'claim.json'))
  if (!claim) return null
  const name = runName(instanceId, directory)
  const base = {
    instanceId,
    directory,
    number,
    name,
    claim,
    launched: null,
    report: noReport,
    root: null,
    exitedAt: null,
    cause: 'itself' as EndCause,
  }
  const launched = readJson<Launched | null>(join(directory, 'launch.json'))
  if (launched === undefined) return { ...base, phase: claim.starter !== null && isAlive(claim.starter) ? 'claimed' : 'ended' }
  if (launched === null) return { ...base, phase: 'ended' }
  if (launched.watcher.bootId !== bootId()) return { ...base, launched, phase: 'ended', cause: 'lost' }
  // The process is checked before the report is read: otherwise, an exit in between would appear to have no exit code.
  const watched = isAlive(launched.watcher)
  const reportFile = join(directory, 'report')
  const report = parseReport(readText(reportFile) ?? '')
  const root = report.rootNamespace === null ? (watched ? launched.watcher : null) : rootOf(report)
  const stopUntil = readJson<number>(join(directory, stoppingFile)) ?? 0
  const cause = stopUntil > 0 ? 'stopped' : 'itself'
  const lingers = () => sinceBootMs() < stopUntil && (root !== null || sandbox.members({ name }, root).length > 0)
  const running = watched || (report.exitCode === null && root !== null) || lingers()
  const exitedAt = report.exitCode === null ? null : modifiedAt(reportFile)
  return { ...base, launched, report, root, cause, exitedAt: running ? null : exitedAt, phase: running ? 'running' : 'ended' }
}

/** Number of the run that a directory belongs to. */
export const runNumber = (runDirectory: string): number => numberOf(basename(runDirectory))

/** Infinity for a name that is not that of a run. */
function numberOf(name: string): number {
  return Number(/^run-(\d+)$/.exec(name)?.[1] ?? Number.POSITIVE_INFINITY)
}

function readNames(directory: string): string[] {
  return orUndefined(() => readdirSync(directory)) ?? []
}

function readText(file: string): string | undefined {
  return orUndefined(() => readFileSync(file, 'utf8'))
}

function readJson<Value>(file: string): Value | undefined {
  const text = readText(file)
  return text === undefined ? undefined : (JSON.parse(text) as Value)
}

function modifiedAt(file: string): Date | null {
  return orUndefined(() => statSync(file).mtime) ?? null
}

function orUndefined<Value>(read: () => Value): Value | undefined {
  try {
    return read()
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
}
