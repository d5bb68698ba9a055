/**
 * Stores the output of instances in their service's log, each line exactly once: lines and the new read position are stored in one
 * transaction, which first compares the position, so a process that has lost its lease stores nothing twice. Each read has a bounded
 * size, and instances that print a lot have their own loop, so they delay only themselves.
 */
import type { Instance } from '../../../generated/prisma/client.ts'
import { systemCaller } from '../../../platform/access.ts'
import type { Chore } from '../../../platform/claim.ts'
import { row, run, type Sql, sql } from '../../../platform/db/index.ts'
import { createFailureLog } from '../../../platform/failure-log.ts'
import { createPace } from '../../../platform/pace.ts'
import { perApp } from '../../../platform/per-app.ts'
import { type App, transact } from '../../../platform/work.ts'
import {
  appendAtOnce,
  appendLines,
  countingRedactor,
  ensureServiceLog,
  type Hits,
  type LineRun,
  logLimits,
  type Redact,
  runOf,
  splitCompleteLines,
} from '../log/index.ts'
import { type OutputPosition, type OutputRead, runtimePort } from './ports.ts'
import { countRedactions, redactorOf } from './redaction.ts'

type OutputSource = Pick<Instance, 'id' | 'organizationId' | 'webServiceId' | 'deploymentId'>

/** Size of one read of an instance that prints little (quiet), and of one that prints a lot (loud). */
const quietBytes = 32 * 1024
const loudBytes = 256 * 1024
/** Size of a read when a smaller one contains no line end: for each stream, twice the longest escaped form of a value. */
const longestLineBytes = 1536 * 1024
/** Number of instances read concurrently. */
const quietConcurrency = 4
const loudConcurrency = 2

/** What one process remembers; all of it can be lost without harm. */
type Memory = {
  /** Instances whose output this process reads. Set by each pass of the reconciler; empty without the lease. */
  watched: Map<string, OutputSource>
  loud: Set<string>
  loudPassMs: number
  /** The read in progress of each instance: one at a time, because the chores and the end of an instance may coincide. */
  reads: Map<string, Promise<unknown>>
  /** Up to where each instance was read. A cache: every write compares the position in the database. */
  cursors: Map<string, Cursor>
  /** When a line was read last, or an instance was added, on the monotonic clock. */
  activeAt: number
}

type Cursor = { position: OutputPosition; logId: string | null }

const memoryOf = perApp(
  (app): Memory => ({
    ...{ watched: new Map(), loud: new Set(), loudPassMs: 0, reads: new Map(), cursors: new Map() },
    activeAt: app.clock.elapsedMs(),
  }),
)

/** Sets the instances whose output this process reads. */
export function watchOutput(app: App, instances: readonly OutputSource[]): void {
  const memory = memoryOf(app)
  if (memory.watched.size === 0 && instances.length > 0) app.wake.notify(heldTopic)
  if (instances.some(({ id }) => !memory.watched.has(id))) memory.activeAt = app.clock.elapsedMs()
  memory.watched = new Map(instances.map((instance) => [instance.id, instance]))
  for (const id of memory.loud) if (!memory.watched.has(id)) memory.loud.delete(id)
}

/** The instances of this machine that this process takes care of. Empty while another process does. */
export const heldInstances = (app: App): readonly OutputSource[] => [...memoryOf(app).watched.values()]

async function oneAtATime<Result>(app: App, instanceId: string, read: () => Promise<Result>): Promise<Result> {
  const { reads } = memoryOf(app)
  const previous = reads.get(instanceId)
  const next = (async () => {
    await previous?.catch(() => {})
    return read()
  })()
  reads.set(instanceId, next)
  try {
    return await next
  } finally {
    if (reads.get(instanceId) === next) reads.delete(instanceId)
  }
}

/**
 * Stores everything that an instance has printed so far. With `final`, the instance has ended: an unfinished line is stored as a line.
 */
export const storeOutput = (app: App, instance: OutputSource, { final = false } = {}): Promise<void> =>
  oneAtATime(app, instance.id, async () => {
    while ((await storeNext(app, instance, loudBytes)).hasAdvanced) {}
    // What is left now is an unfinished line, not just the end of one read.
    if (final) while ((await storeNext(app, instance, longestLineBytes, true)).hasAdvanced) {}
  })

/** `bytes`: size of the read. */
type Progress = { bytes: number; hasAdvanced: boolean }

/** Stores one read of at most `maxBytes`, or of more if they contain no line end. */
async function storeNext(app: App, instance: OutputSource, maxBytes: number, final = false): Promise<Progress> {
  const { cursors } = memoryOf(app)
  const { position: from, logId } = cursors.get(instance.id) ?? { position: await storedPosition(app, instance.id), logId: null }
  if (!from) return { bytes: 0, hasAdvanced: false }
  const read = await runtimePort.use(app).readOutput(instance.id, from, maxBytes)
  const bytes = read.chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0)
  if (bytes === 0 && read.droppedBytes === 0) {
    cursors.set(instance.id, { position: from, logId })
    return { bytes, hasAdvanced: false }
  }
  const hits: Hits = new Map()
  const redactor = await redactorOf(app, instance.deploymentId)
  const redact = countingRedactor(() => redactor, hits)
  const { lines, position } = await linesOf(app, instance, read, redact, final)
  if (position.stdout === from.stdout && position.stderr === from.stderr) {
    if (bytes >= maxBytes && maxBytes < longestLineBytes) return storeNext(app, instance, longestLineBytes, final)
    cursors.set(instance.id, { position: from, logId })
    return { bytes, hasAdvanced: false }
  }
  const storedIn = await store(app, instance, { from, to: position, logId, lines, hits })
  if (storedIn) cursors.set(instance.id, { position, logId: storedIn })
  else cursors.delete(instance.id)
  return { bytes, hasAdvanced: storedIn !== null }
}

/** Bytes that are split and redacted between two pauses. */
const stretchBytes = 16 * 1024

/** The complete lines of a read, and the position after them. */
async function linesOf(
  app: App,
  instance: OutputSource,
  read: OutputRead,
  redact: Redact,
  final: boolean,
): Promise<{ lines: LineRun[]; position: OutputPosition }> {
  const at = app.clock.now()
  const pace = createPace()
  const { messageBytes } = logLimits(app.settings)
  const lines: LineRun[] = []
  if (read.droppedBytes > 0)
    lines.push(system(app, instance.id, `Dropped ${read.droppedBytes} bytes of output: the instance writes faster than Quayside reads.`))
  const position = { ...read.position }
  for (const stream of ['stdout', 'stderr'] as const) {
    const bytes = Buffer.concat(read.chunks.filter((chunk) => chunk.stream === stream).map((chunk) => chunk.bytes))
    for (const { part, isLast } of partsOf(bytes)) {
      await pace.next()
      const whole = splitCompleteLines({ stream, instanceId: instance.id, messageBytes, redact }, part, at, final && isLast)
      position[stream] -= part.length - whole.consumedBytes
      lines.push(...whole.runs)
    }
  }
  return { lines, position }
}

const lineFeed = 0x0a

/** Cuts at line ends. The last part may end with an unfinished line. */
function* partsOf(bytes: Buffer): Generator<{ part: Buffer; isLast: boolean }> {
  let start = 0
  while (bytes.length - start > stretchBytes) {
    const end = bytes.indexOf(lineFeed, start + stretchBytes) + 1
    if (end === 0 || end === bytes.length) break
    yield { part: bytes.subarray(start, end), isLast: false }
    start = end
  }
  yield { part: bytes.subarray(start), isLast: true }
}

type Storing = { from: OutputPosition; to: OutputPosition; logId: string | null; lines: LineRun[]; hits: Hits }

/** Returns the id of the log that the lines were stored in; null if another process has already stored them. */
async function store(app: App, instance: OutputSource, { from, to, logId, lines, hits }: Storing): Promise<string | null> {
  const advance: Sql = sql`update instance set stdout_offset = ${to.stdout}::bigint, stderr_offset = ${to.stderr}::bigint
    where id = ${instance.id}::uuid and stdout_offset = ${from.stdout}::bigint and stderr_offset = ${from.stderr}::bigint`
  if (logId && hits.size === 0 && (await appendAtOnce(app, logId, lines, sql`${advance} returning 1`))) return logId
  return transact(app, systemCaller(instance.organizationId), {}, async (work) => {
    if ((await run(work.tx, advance)) === 0) return null
    const log = await ensureServiceLog(work.tx, instance)
    await appendLines(work, log.id, lines)
    await countRedactions(work.tx, instance.deploymentId, hits)
    return log.id
  })
}

/** Null if the instance no longer exists. */
async function storedPosition(app: App, instanceId: string): Promise<OutputPosition | null> {
  const stored = await row<{ stdoutOffset: bigint; stderrOffset: bigint }>(
    app.db,
    sql`select stdout_offset, stderr_offset from instance where id = ${instanceId}::uuid`,
  )
  return stored && { stdout: Number(stored.stdoutOffset), stderr: Number(stored.stderrOffset) }
}

/** Forgets up to where an instance was read: it is restarted, with new output, or removed. */
export const resetOutput = (app: App, instanceId: string): void => void memoryOf(app).cursors.delete(instanceId)

/** A line of Quayside itself. */
const system = (app: App, instanceId: string, message: string): LineRun =>
  runOf(
    { at: app.clock.now(), stream: 'system', level: 'WARN', instanceId, message, truncated: false },
    logLimits(app.settings).messageBytes,
  )

/** Adds a line of Quayside itself to the log of a service. */
export async function logForService(
  app: App,
  service: { id: string; organizationId: string },
  instanceId: string,
  message: string,
): Promise<void> {
  await transact(app, systemCaller(service.organizationId), {}, async (work) => {
    const log = await ensureServiceLog(work.tx, { organizationId: service.organizationId, webServiceId: service.id })
    await appendLines(work, log.id, [system(app, instanceId, message)])
  })
}

const failuresOf = perApp((app) =>
  createFailureLog(app, { failed: 'reading the output of an instance failed', recovered: 'reading the output of an instance works again' }),
)

/** Reads each instance once, some of them concurrently. A failure affects only the instance that it occurs with. */
async function readEach(
  app: App,
  instances: readonly OutputSource[],
  { concurrency, maxBytes }: { concurrency: number; maxBytes: number },
  signal: AbortSignal,
  onRead: (instance: OutputSource, progress: Progress) => void,
): Promise<void> {
  const remaining = instances.values()
  const reader = async () => {
    for (const instance of remaining) {
      if (signal.aborted) return
      try {
        onRead(instance, await oneAtATime(app, instance.id, () => storeNext(app, instance, maxBytes)))
        failuresOf(app).succeeded(instance.id)
      } catch (error) {
        failuresOf(app).failed(error, { instanceId: instance.id }, instance.id)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, instances.length) }, reader))
}

/** Notified when this process takes care of instances again. Without any, the chores rest. */
export const heldTopic = 'output'
/** Notified when there are loud instances again. Without any, their chore rests. */
const loudTopic = 'loud output'
const restMs = 5_000
/** Each read of a busy log becomes a frame for each of its subscribers, so shorter intervals cost much. */
const readEveryMs = 40
/** While no instance has printed a line for a while. */
const silentReadEveryMs = 100
const silenceMs = 10_000
/** With more than 200 instances, each one is read less often. */
const readsPerMs = 4

const isResting = (app: App) => memoryOf(app).watched.size === 0

function readIntervalMs(app: App): number {
  const { watched, activeAt } = memoryOf(app)
  const isSilent = app.clock.elapsedMs() - activeAt >= silenceMs
  return Math.max(isSilent ? silentReadEveryMs : readEveryMs, watched.size / readsPerMs)
}

/** Reads the output of this machine's instances. Runs no statement while nothing is printed. */
export const readInstanceOutput: Chore = {
  name: 'read instance output',
  topic: heldTopic,
  everyMs: restMs,
  dueInMs: (app) => (isResting(app) ? null : readIntervalMs(app)),
  async run(app, signal) {
    const memory = memoryOf(app)
    const { watched, loud } = memory
    const quiet = [...watched.values()].filter(({ id }) => !loud.has(id))
    await readEach(app, quiet, { concurrency: quietConcurrency, maxBytes: quietBytes }, signal, ({ id }, { bytes, hasAdvanced }) => {
      if (hasAdvanced) memory.activeAt = app.clock.elapsedMs()
      if (bytes < quietBytes) return
      if (loud.size === 0) app.wake.notify(loudTopic)
      loud.add(id)
    })
  },
}

const longestPauseMs = 250

/** Reads the loud instances, which print more than one quiet read. Pauses for as long as the last pass took. */
export const readLoudInstances: Chore = {
  name: 'read loud instances',
  topic: loudTopic,
  everyMs: restMs,
  dueInMs: (app) => (memoryOf(app).loud.size === 0 ? null : Math.min(Math.max(readEveryMs / 2, memoryOf(app).loudPassMs), longestPauseMs)),
  async run(app, signal) {
    const memory = memoryOf(app)
    const loud = [...memory.loud].flatMap((id) => memory.watched.get(id) ?? [])
    const startedAt = performance.now()
    await readEach(app, loud, { concurrency: loudConcurrency, maxBytes: loudBytes }, signal, ({ id }, { bytes }) => {
      if (bytes < quietBytes) memory.loud.delete(id)
    })
    memory.loudPassMs = performance.now() - startedAt
  },
}
