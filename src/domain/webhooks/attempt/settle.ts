import type { WebhookErrorClass } from '../../../generated/prisma/client.ts'
import { systemCaller } from '../../../platform/access.ts'
import { rows, run, sql, type Tx } from '../../../platform/db/index.ts'
import { publish } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'
import { throughOutages } from '../../../platform/outage.ts'
import { perApp } from '../../../platform/per-app.ts'
import type { App, Work } from '../../../platform/work.ts'
import { type LaneNews, type LaneOutcome, recordOutcomes, type Settlement, settleDeliveries } from '../delivery/index.ts'
import { webhookEndpointExhausted } from '../endpoint/index.ts'

export type AttemptRow = {
  id: string
  organizationId: string
  messageId: string
  endpointId: string
  number: number
  trigger: string
  url: string
  dueAt: Date | null
  startedAt: Date
  durationMs: number
  requestHeaders: Record<string, string> | null
  responseStatus: number | null
  errorClass: WebhookErrorClass | null
  responseHeaders: Record<string, string> | null
  responseBody: string | null
  worker: string | null
}

/** What to tell when a delivery has used up its tries. */
export type Exhaustion = { organizationId: string; projectId: string | null; description: string | null; eventType: string }

/** A claim's end, with the try that led to it; null when nothing was sent. */
export type Outcome = {
  settlement: Settlement
  attempt: AttemptRow | null
  /** How the lane is to see it; null: it says nothing about the endpoint. */
  lane: Omit<LaneOutcome, 'endpointId'> | null
  exhausted: Exhaustion | null
}

type Waiting = { outcome: Outcome; done: (news: readonly LaneNews[]) => void; failed: (error: unknown) => void }

const batch = 200
/** What gathers while a batch is being written; null: none is. */
const gathering = perApp((): { waiting: Waiting[] | null } => ({ waiting: null }))

/** Wakes the live views of attempts. */
export const attemptsTopic = 'webhook attempts'

/**
 * Writes outcomes in batches: while one is being written, the next gathers. Gives what changed with the endpoint. Rejects when the
 * batch could not be written; the lease then runs out and the delivery is tried again.
 */
export function settle(app: App, outcome: Outcome): Promise<readonly LaneNews[]> {
  return new Promise((done, failed) => {
    const gathered = gathering(app)
    if (gathered.waiting) return void gathered.waiting.push({ outcome, done, failed })
    gathered.waiting = [{ outcome, done, failed }]
    void writeAll(app, gathered.waiting)
  })
}

/** Ends when nothing waits any more; whoever comes next starts anew. */
async function writeAll(app: App, waiting: Waiting[]): Promise<void> {
  while (waiting.length > 0) {
    const taken = waiting.splice(0, batch)
    try {
      // What was sent is known here alone: it is kept until the database takes it.
      const news = await throughOutages(app, () =>
        write(
          app,
          taken.map(({ outcome }) => outcome),
        ),
      )
      // Each piece is acted on once, by the first of its endpoint.
      const untold = new Map(news.map((item) => [item.endpointId, item]))
      for (const { outcome, done } of taken) {
        const item = untold.get(outcome.settlement.endpointId)
        untold.delete(outcome.settlement.endpointId)
        done(item ? [item] : [])
      }
    } catch (error) {
      for (const { failed } of taken) failed(error)
    }
  }
  gathering(app).waiting = null
}

const keyOf = ({ messageId, endpointId }: { messageId: string; endpointId: string }) => `${messageId} ${endpointId}`

/** An attempt under an epoch that is over isn't kept: its number is the heir's. */
async function write(app: App, outcomes: Outcome[]): Promise<LaneNews[]> {
  const topics = new Set<string>()
  const wake = (...names: string[]) => {
    for (const name of names) topics.add(name)
  }
  const news = await app.db.transaction(async (tx) => {
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
    if (attempts.length > 0) await insertAttempts(tx, attempts)
    const found = await recordOutcomes(
      tx,
      app,
      valid.flatMap(({ settlement, lane }) => (lane ? [{ endpointId: settlement.endpointId, ...lane }] : [])),
    )
    for (const { settlement, exhausted } of valid) {
      if (exhausted && byKey.get(keyOf(settlement))!.status === 'EXHAUSTED') {
        await tellExhausted({ app, tx, requestId: null, wake }, settlement, exhausted)
      }
    }
    return found
  })
  app.wake.notify(attemptsTopic, ...topics)
  return news
}

/** The counters of what will be published, before any delivery: commands on endpoints lock in this order too. */
async function lockSubjects(tx: Tx, outcomes: readonly Outcome[]): Promise<void> {
  const ids = [...new Set(outcomes.filter(({ exhausted }) => exhausted).map(({ settlement }) => settlement.endpointId))]
  if (ids.length === 0) return
  await run(tx, sql`select 1 from event_subject where subject_id = any(${ids}::uuid[]) order by subject_id for update`)
}

async function tellExhausted(work: Omit<Work, 'caller'>, settlement: Settlement, exhausted: Exhaustion): Promise<void> {
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

/** As one JSON text: with a parameter for each column of each row, encoding took longer than the database. Of what was expunged meanwhile no answer is kept. */
export const insertAttempts = (tx: Tx, attempts: readonly (AttemptRow & { nextAttemptAt: Date | null })[]): Promise<{ id: string }[]> =>
  rows(
    tx,
    sql`insert into webhook_attempt (id, organization_id, message_id, endpoint_id, number, trigger, url, due_at, started_at, duration_ms,
                                     request_headers, response_status, error_class, response_headers, response_body, worker, next_attempt_at)
        select a."id", a."organizationId", a."messageId", a."endpointId", a."number", a."trigger"::webhook_attempt_trigger, a."url", a."dueAt",
               a."startedAt", a."durationMs", nullif(a."requestHeaders"::text, 'null')::json, a."responseStatus", a."errorClass"::webhook_error_class,
               nullif(a."responseHeaders"::text, 'null')::json,
               case when exists (select 1 from webhook_message m where m.id = a."messageId" and m.body is not null) then a."responseBody" end,
               a."worker", a."nextAttemptAt"
        from json_to_recordset(${JSON.stringify(attempts)}::json) as a(
          "id" uuid, "organizationId" uuid, "messageId" uuid, "endpointId" uuid, "number" int, "trigger" text, "url" text,
          "dueAt" timestamptz, "startedAt" timestamptz, "durationMs" int, "requestHeaders" json, "responseStatus" int, "errorClass" text,
          "responseHeaders" json, "responseBody" text, "worker" text, "nextAttemptAt" timestamptz)`,
  )
