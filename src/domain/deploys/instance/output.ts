/**
 * Takes what instances print into their service's log, each line exactly once: the lines and the position behind them are stored
 * together, and the position is compared first, so that a process which lost its lease takes nothing in twice. Each instance is read
 * in turns of a bounded size, and those that print much by a loop of their own, so that they only keep themselves back.
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
  ensureServiceLog,
  type Hits,
  logLimits,
  type NewLine,
  type Redact,
  splitCompleteLines,
} from '../log/index.ts'
import { type OutputPosition, type OutputRead, runtimePort } from './ports.ts'
import { countRedactions, redactorOf } from './redaction.ts'

type Printing = Pick<Instance, 'id' | 'organizationId' | 'webServiceId' | 'deploymentId'>

/** What one turn takes of an instance that prints little, and of one that prints much. */
const quietBytes = 32 * 1024
const loudBytes = 256 * 1024
/** Where a turn's bytes hold no end of a line: twice as much for each stream as a value may have in its longest form. */
const longestLineBytes = 1536 * 1024
/** Instances that are read at once. */
const quietAtOnce = 4
const loudAtOnce = 2

/** Instances that this process listens to; set by the reconciler's pass, empty without the lease. */
type Ear = { listening: Map<string, Printing>; loud: Set<string>; loudPassMs: number }
const earOf = perApp((): Ear => ({ listening: new Map(), loud: new Set(), loudPassMs: 0 }))

export function listenTo(app: App, instances: readonly Printing[]): void {
  const ear = earOf(app)
  ear.listening = new Map(instances.map((instance) => [instance.id, instance]))
  for (const id of ear.loud) if (!ear.listening.has(id)) ear.loud.delete(id)
}

/** One reading at a time an instance: the chores and an instance's end may meet. */
const reading = new Map<string, Promise<unknown>>()

async function inTurn<Result>(instanceId: string, read: () => Promise<Result>): Promise<Result> {
  const former = reading.get(instanceId)
  const next = (async () => {
    await former?.catch(() => {})
    return read()
  })()
  reading.set(instanceId, next)
  try {
    return await next
  } finally {
    if (reading.get(instanceId) === next) reading.delete(instanceId)
  }
}

/**
 * Stores what an instance printed since the last time. With `final` an unfinished line is a line. Resolves when there is nothing
 * more to read now.
 */
export const takeInOutput = (app: App, instance: Printing, { final = false } = {}): Promise<void> =>
  inTurn(instance.id, async () => {
    while ((await takeIn(app, instance, loudBytes)).isMoved) {}
    // Only what is left then is an unfinished line, and not the end of one reading.
    if (final) while ((await takeIn(app, instance, longestLineBytes, true)).isMoved) {}
  })

/** What this process knows of an instance's output; the database's position is compared at each write. */
type Known = { position: OutputPosition; logId: string | null }
const known = new Map<string, Known>()

/** `bytes`: how much was read. */
type Taken = { bytes: number; isMoved: boolean }

/** One reading of at most `maxBytes`; of more where they hold no end of a line. */
async function takeIn(app: App, instance: Printing, maxBytes: number, final = false): Promise<Taken> {
  const { position: from, logId } = known.get(instance.id) ?? { position: await storedPosition(app, instance.id), logId: null }
  if (!from) return { bytes: 0, isMoved: false }
  const read = await runtimePort.use(app).readOutput(instance.id, from, maxBytes)
  const bytes = read.chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0)
  if (bytes === 0 && read.droppedBytes === 0) {
    known.set(instance.id, { position: from, logId })
    return { bytes, isMoved: false }
  }
  const hits: Hits = new Map()
  const redact = counting(await redactorOf(app, instance.deploymentId), hits)
  const { lines, position } = await linesOf(app, instance, read, redact, final)
  if (position.stdout === from.stdout && position.stderr === from.stderr) {
    if (bytes >= maxBytes && maxBytes < longestLineBytes) return takeIn(app, instance, longestLineBytes, final)
    known.set(instance.id, { position: from, logId })
    return { bytes, isMoved: false }
  }
  const storedIn = await store(app, instance, { from, to: position, logId, lines, hits })
  if (storedIn) known.set(instance.id, { position, logId: storedIn })
  else known.delete(instance.id)
  return { bytes, isMoved: storedIn !== null }
}

/** Bytes that are split and redacted at one stretch. */
const stretchBytes = 16 * 1024

/** The lines that a reading completed, and the position behind them. */
async function linesOf(
  app: App,
  instance: Printing,
  read: OutputRead,
  redact: Redact,
  final: boolean,
): Promise<{ lines: NewLine[]; position: OutputPosition }> {
  const at = app.clock.now()
  const pace = createPace()
  const { messageBytes } = logLimits(app.settings)
  const lines: NewLine[] = []
  if (read.droppedBytes > 0)
    lines.push(system(at, instance.id, `Dropped ${read.droppedBytes} bytes of output: the instance writes faster than Quayside reads.`))
  const position = { ...read.position }
  for (const stream of ['stdout', 'stderr'] as const) {
    const bytes = Buffer.concat(read.chunks.filter((chunk) => chunk.stream === stream).map((chunk) => chunk.bytes))
    for (const { part, isLast } of partsOf(bytes)) {
      await pace.next()
      const whole = splitCompleteLines({ stream, instanceId: instance.id, messageBytes, redact }, part, at, final && isLast)
      position[stream] -= part.length - whole.consumedBytes
      for (const line of whole.lines) lines.push(line)
    }
  }
  return { lines, position }
}

const lineFeed = 0x0a

/** Cut at ends of lines; an unfinished line is in the last part. */
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

type Storing = { from: OutputPosition; to: OutputPosition; logId: string | null; lines: NewLine[]; hits: Hits }

/** Gives the log that the lines were stored in; null when another process has taken them in. */
async function store(app: App, instance: Printing, { from, to, logId, lines, hits }: Storing): Promise<string | null> {
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

/** Counts what a redactor takes out. */
const counting = (redact: Redact, hits: Hits): Redact =>
  Object.assign((text: string, isCut?: boolean) => redact(text, isCut, hits), { cutOf: redact.cutOf })

/** Null when the row is gone. */
async function storedPosition(app: App, instanceId: string): Promise<OutputPosition | null> {
  const stored = await row<{ stdoutOffset: bigint; stderrOffset: bigint }>(
    app.db.prisma,
    sql`select stdout_offset, stderr_offset from instance where id = ${instanceId}::uuid`,
  )
  return stored && { stdout: Number(stored.stdoutOffset), stderr: Number(stored.stderrOffset) }
}

/** Forgets how far an instance was read; its output begins anew, or it is gone. */
export const resetOutput = (instanceId: string): boolean => known.delete(instanceId)

const system = (at: Date, instanceId: string, message: string): NewLine => ({
  at,
  stream: 'system',
  level: 'WARN',
  instanceId,
  message,
  truncated: false,
})

/** A line of Quayside's own in a service's log. */
export async function noteInServiceLog(
  app: App,
  service: { id: string; organizationId: string },
  instanceId: string,
  message: string,
): Promise<void> {
  await transact(app, systemCaller(service.organizationId), {}, async (work) => {
    const log = await ensureServiceLog(work.tx, { organizationId: service.organizationId, webServiceId: service.id })
    await appendLines(work, log.id, [system(app.clock.now(), instanceId, message)])
  })
}

const failuresOf = perApp((app) =>
  createFailureLog(app, { failed: 'reading the output of an instance failed', goesOn: 'reading the output of an instance works again' }),
)

/** One turn of each instance, some at once. What can't be read of one keeps nobody else's lines back. */
async function readEach(
  app: App,
  instances: readonly Printing[],
  { atOnce, maxBytes }: { atOnce: number; maxBytes: number },
  signal: AbortSignal,
  taken: (instance: Printing, taken: Taken) => void,
): Promise<void> {
  const left = instances.values()
  const reader = async () => {
    for (const instance of left) {
      if (signal.aborted) return
      try {
        taken(instance, await inTurn(instance.id, () => takeIn(app, instance, maxBytes)))
        failuresOf(app).well(instance.id)
      } catch (error) {
        failuresOf(app).failed(error, { instanceId: instance.id }, instance.id)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, instances.length) }, reader))
}

const lookEveryMs = 50
/** Beyond 200 instances they are looked at less often. */
const looksPerMs = 4

/** Reads the spools of this machine's instances; costs no statement while nothing is printed. */
export const readInstanceOutput: Chore = {
  name: 'read instance output',
  topic: null,
  everyMs: lookEveryMs,
  dueInMs: (app) => Math.max(lookEveryMs, earOf(app).listening.size / looksPerMs),
  async run(app, signal) {
    const { listening, loud } = earOf(app)
    const quiet = [...listening.values()].filter(({ id }) => !loud.has(id))
    await readEach(app, quiet, { atOnce: quietAtOnce, maxBytes: quietBytes }, signal, ({ id }, { bytes }) => {
      if (bytes >= quietBytes) loud.add(id)
    })
  },
}

const longestRestMs = 250

/** Reads those that print more than the others' loop takes of each, and rests for as long as it has worked. */
export const readLoudInstances: Chore = {
  name: 'read loud instances',
  topic: null,
  everyMs: lookEveryMs,
  dueInMs: (app) => Math.min(Math.max(lookEveryMs / 2, earOf(app).loudPassMs), longestRestMs),
  async run(app, signal) {
    const ear = earOf(app)
    const loud = [...ear.loud].flatMap((id) => ear.listening.get(id) ?? [])
    const beganMs = performance.now()
    await readEach(app, loud, { atOnce: loudAtOnce, maxBytes: loudBytes }, signal, ({ id }, { bytes }) => {
      if (bytes < quietBytes) ear.loud.delete(id)
    })
    ear.loudPassMs = performance.now() - beganMs
  },
}
