/** How claims end: deliveries, attempts and the health of endpoints are written together, in batches. */
import { systemCaller } from '../../../platform/access.ts'
import type { End } from '../../../platform/claim.ts'
import { run, sql, type Tx } from '../../../platform/db/index.ts'
import { publish } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'
import { throughOutages } from '../../../platform/outage.ts'
import { perApp } from '../../../platform/per-app.ts'
import type { App, Work } from '../../../platform/work.ts'
import { type HealthChange, type LaneOutcome, recordOutcomes, type Settlement, settleDeliveries } from '../delivery/index.ts'
import { type Recipient, type UnreadableRecipient, webhookEndpointExhausted } from '../endpoint/index.ts'
import { isTest, type LoadedDelivery } from './load.ts'
import { type AttemptRow, attemptsTopic, insertAttempts } from './record.ts'

/** What `webhook_endpoint.exhausted` says about a delivery, beside its settlement. */
export type Exhaustion = { organizationId: string; projectId: string | null; description: string | null; eventType: string }

/** The end of a claim. */
export type Outcome = {
  settlement: Settlement
  /** Null if nothing was sent. */
  attempt: AttemptRow | null
  /** What the attempt says about the health of the endpoint. Null if nothing. */
  lane: Omit<LaneOutcome, 'endpointId'> | null
  /** Published if the delivery becomes EXHAUSTED. */
  exhausted: Exhaustion | null
}

/** `changes`: of the endpoint's health, which the caller has to report. */
export type Recorded = { end: End; changes: readonly HealthChange[] }

type Waiting = { outcome: Outcome; done: (recorded: Recorded) => void; failed: (error: unknown) => void }

const batch = 200
/** Outcomes that wait while a batch is being written. Null while none is. */
const gathering = perApp((): { waiting: Waiting[] | null } => ({ waiting: null }))

/** The claim as a settlement names it, with no attempt counted. */
export const claimOf = ({ messageId, endpointId, leaseEpoch, attemptCount, nextAttemptAt }: LoadedDelivery) => ({
  messageId,
  endpointId,
  leaseEpoch,
  attemptCount,
  dueAt: nextAttemptAt,
})

/** The event of an exhausted delivery. Null for tests, and for events about endpoints, which would cause each other without end. */
export function exhaustionOf(delivery: LoadedDelivery, { projectId, description }: Recipient | UnreadableRecipient): Exhaustion | null {
  const { organizationId, message } = delivery
  if (isTest(delivery) || message.eventType.startsWith('webhook_endpoint.')) return null
  return { organizationId, projectId, description, eventType: message.eventType }
}

type ClosedStatus = 'CANCELLED' | 'SKIPPED' | 'UNKNOWN' | 'EXHAUSTED'

/** Ends a delivery without an attempt. */
export async function close(
  app: App,
  delivery: LoadedDelivery,
  status: ClosedStatus,
  reason: string,
  exhausted: Exhaustion | null = null,
): Promise<End> {
  const settlement = { ...claimOf(delivery), status, reason, retryInMs: null }
  return (await settle(app, { settlement, attempt: null, lane: null, exhausted })).end
}

/**
 * Writes an outcome with the next batch: outcomes that arrive while a batch is being written form the next one. Rejects if the batch could not be written; the lease then expires and the
 * delivery is attempted again.
 */
export function settle(app: App, outcome: Outcome): Promise<Recorded> {
  return new Promise((done, failed) => {
    const gathered = gathering(app)
    if (gathered.waiting) return void gathered.waiting.push({ outcome, done, failed })
    gathered.waiting = [{ outcome, done, failed }]
    void writeAll(app, gathered.waiting)
  })
}

/** Returns when nothing waits any more. The next outcome starts it again. */
async function writeAll(app: App, waiting: Waiting[]): Promise<void> {
  while (waiting.length > 0) {
    const taken = waiting.splice(0, batch)
    try {
      // Only this process knows what was sent, so the batch is kept until the database accepts it.
      const { changes, ended } = await throughOutages(app, () =>
        write(
          app,
          taken.map(({ outcome }) => outcome),
        ),
      )
      // Each change is reported once, by the first outcome of its endpoint.
      const unreported = new Map(changes.map((change) => [change.endpointId, change]))
      for (const { outcome, done } of taken) {
        const change = unreported.get(outcome.settlement.endpointId)
        unreported.delete(outcome.settlement.endpointId)
        done({ end: ended.has(keyOf(outcome.settlement)) ? 'done' : 'pending', changes: change ? [change] : [] })
      }
    } catch (error) {
      for (const { failed } of taken) failed(error)
    }
  }
  gathering(app).waiting = null
}

const keyOf = ({ messageId, endpointId }: { messageId: string; endpointId: string }) => `${messageId} ${endpointId}`

/** Drops outcomes that were written before, and those of lost claims: the number of their attempt belongs to the next claimant. */
async function write(app: App, outcomes: Outcome[]): Promise<{ changes: HealthChange[]; ended: ReadonlySet<string> }> {
  const topics = new Set<string>()
  const wake = (...names: string[]) => {
    for (const name of names) topics.add(name)
  }
  const written = await app.db.transaction(async (tx) => {
    await lockSubjects(tx, outcomes)
    const settled = await settleDeliveries(
      tx,
      outcomes.map(({ settlement }) => settlement),
    )
    const byKey = new Map(settled.map((item) => [keyOf(item), item]))
    const valid = outcomes.filter(({ settlement }) => byKey.has(keyOf(settlement)))
    const attempts = valid.flatMap(({ settlement, attempt }) =>
      attempt ? [{ ...attempt, nextAttemptAt: byKey.get(keyOf(settlement))!.nextAttemptAt }] : [],
    )
    if (attempts.length > 0) insertAttempts(tx, attempts)
    const changes = await recordOutcomes(
      tx,
      app,
      valid.flatMap(({ settlement, lane }) => (lane ? [{ endpointId: settlement.endpointId, ...lane }] : [])),
    )
    for (const { settlement, exhausted } of valid) {
      if (exhausted && byKey.get(keyOf(settlement))!.status === 'EXHAUSTED') {
        await publishExhausted({ app, tx, requestId: null, emits: [webhookEndpointExhausted], wake }, settlement, exhausted)
      }
    }
    return { changes, ended: new Set(settled.filter(({ status }) => status !== 'PENDING').map(keyOf)) }
  })
  app.wake.notify(attemptsTopic, ...topics)
  return written
}

/** Locks the event counters of the endpoints before any delivery, in the order of the commands on endpoints. */
async function lockSubjects(tx: Tx, outcomes: readonly Outcome[]): Promise<void> {
  const ids = [...new Set(outcomes.filter(({ exhausted }) => exhausted).map(({ settlement }) => settlement.endpointId))]
  if (ids.length === 0) return
  await run(tx, sql`select 1 from event_subject where subject_id = any(${ids}::uuid[]) order by subject_id for update`)
}

async function publishExhausted(work: Omit<Work, 'caller'>, settlement: Settlement, exhausted: Exhaustion): Promise<void> {
  const { endpointId, messageId, attemptCount, reason } = settlement
  const data = {
    webhookEndpointId: encodeId('WebhookEndpoint', endpointId),
    description: exhausted.description,
    messageId: encodeId('WebhookMessage', messageId),
    eventType: exhausted.eventType,
    attemptCount,
    reason,
  }
  await publish({ ...work, caller: systemCaller(exhausted.organizationId) }, webhookEndpointExhausted, {
    subjectId: endpointId,
    projectId: exhausted.projectId,
    data,
  })
}
