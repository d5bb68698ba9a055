/**
 * Takes what instances print into their service's log, each line exactly once: the lines and the position behind them are stored
 * in one transaction, and the position is compared first, so that a process which lost its lease takes nothing in twice.
 */
import type { Instance } from '../../../generated/prisma/client.ts'
import { systemCaller } from '../../../platform/access.ts'
import type { Chore } from '../../../platform/claim.ts'
import { row, run, sql } from '../../../platform/db/index.ts'
import { type App, transact } from '../../../platform/work.ts'
import { appendLines, ensureServiceLog, type Hits, logLimits, type NewLine, type Redact, splitCompleteLines } from '../log/index.ts'
import { countRedactions, redactorOf } from './configuration.ts'
import type { OutputPosition } from './ports.ts'
import { runtimePort } from './provided.ts'

type Printing = Pick<Instance, 'id' | 'organizationId' | 'webServiceId' | 'deploymentId'>

/** Twice as much for each stream as a value may have in its longest form. */
const readBytes = 1536 * 1024

/** Instances that this process listens to, and how far; set by the reconciler's pass, empty without the lease. */
const listening = new WeakMap<App, Map<string, Printing>>()

export function listenTo(app: App, instances: readonly Printing[]): void {
  listening.set(app, new Map(instances.map((instance) => [instance.id, instance])))
}

/** One reading at a time an instance: the chore and an instance's end may meet. */
const reading = new Map<string, Promise<unknown>>()

/**
 * Stores what an instance printed since the last time. With `final` an unfinished line is a line. Resolves when there is nothing
 * more to read now.
 */
export async function takeInOutput(app: App, instance: Printing, { final = false } = {}): Promise<void> {
  const former = reading.get(instance.id)
  const next = (async () => {
    await former?.catch(() => {})
    while (await takeInOnce(app, instance, false)) {}
    // Only what is left then is an unfinished line, and not the end of one reading.
    if (final) while (await takeInOnce(app, instance, true)) {}
  })()
  reading.set(instance.id, next)
  try {
    await next
  } finally {
    if (reading.get(instance.id) === next) reading.delete(instance.id)
  }
}

/** Positions as this process knows them; the database's is compared at each write. */
const positions = new Map<string, OutputPosition>()

async function takeInOnce(app: App, instance: Printing, final: boolean): Promise<boolean> {
  const from = positions.get(instance.id) ?? (await storedPosition(app, instance.id))
  if (!from) return false
  const read = await runtimePort.use(app).readOutput(instance.id, from, readBytes)
  const lines: NewLine[] = []
  const at = app.clock.now()
  const { messageBytes } = logLimits(app.settings)
  const hits: Hits = new Map()
  const redact = counting(await redactorOf(app, instance.deploymentId), hits)
  if (read.droppedBytes > 0)
    lines.push(system(at, instance.id, `${read.droppedBytes} bytes of output were dropped: the instance prints faster than it is read.`))
  const position = { ...read.position }
  for (const stream of ['stdout', 'stderr'] as const) {
    const bytes = Buffer.concat(read.chunks.filter((chunk) => chunk.stream === stream).map((chunk) => chunk.bytes))
    const whole = splitCompleteLines({ stream, instanceId: instance.id, messageBytes, redact }, bytes, at, final)
    position[stream] -= bytes.length - whole.consumedBytes
    lines.push(...whole.lines)
  }
  const moved = position.stdout !== from.stdout || position.stderr !== from.stderr
  if (!moved) {
    positions.set(instance.id, from)
    return false
  }
  const stored = await transact(app, systemCaller(instance.organizationId), null, async (work) => {
    const advanced = await run(
      work.tx,
      sql`update instance set stdout_offset = ${position.stdout}, stderr_offset = ${position.stderr}
          where id = ${instance.id}::uuid and stdout_offset = ${from.stdout} and stderr_offset = ${from.stderr}`,
    )
    if (advanced === 0) return false
    const log = await ensureServiceLog(work.tx, instance)
    await appendLines(work, log.id, lines)
    await countRedactions(work.tx, instance.deploymentId, hits)
    return true
  })
  if (stored) positions.set(instance.id, position)
  else positions.delete(instance.id)
  return stored
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
export const resetOutput = (instanceId: string): boolean => positions.delete(instanceId)

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
  await transact(app, systemCaller(service.organizationId), null, async (work) => {
    const log = await ensureServiceLog(work.tx, { organizationId: service.organizationId, webServiceId: service.id })
    await appendLines(work, log.id, [system(app.clock.now(), instanceId, message)])
  })
}

/** Reads the spools of this machine's instances; costs no statement while nothing is printed. */
export const readInstanceOutput: Chore = {
  name: 'read instance output',
  topic: null,
  everyMs: 200,
  async run(app, signal) {
    for (const instance of listening.get(app)?.values() ?? []) {
      if (signal.aborted) return
      try {
        await takeInOutput(app, instance)
      } catch (error) {
        // What can't be read of one keeps nobody else's lines back.
        app.log.warn({ err: error, instanceId: instance.id }, "an instance's output could not be taken in")
      }
    }
  },
}
