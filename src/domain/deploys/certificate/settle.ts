/** What becomes of a claimed certificate: changes of its row, each only as long as the lease is held. */
import type { Certificate, CustomDomain } from '../../../generated/prisma/client.ts'
import { systemCaller } from '../../../platform/access.ts'
import { assignments, row, run, type Sql, sql } from '../../../platform/db/index.ts'
import { type EventDefinition, publish } from '../../../platform/events.ts'
import { type App, transact } from '../../../platform/work.ts'
import { certificateEventOf, certificateEvents } from './events.ts'
import { type CertificateItem, servedTopic, waitAfter } from './model.ts'
import type { IssueResult } from './ports.ts'

type Failed = Omit<Extract<IssueResult, { type: 'failed' }>, 'type'>

const held = ({ id, leaseEpoch }: CertificateItem): Sql => sql`id = ${id}::uuid and lease_epoch = ${leaseEpoch} and lease_owner is not null`

/** Ends the lease, to be claimed again when the row is due. */
export const endLease = (app: App, item: CertificateItem): Promise<number> =>
  run(app.db, sql`update certificate set lease_owner = null, lease_expires_at = null where ${held(item)}`)

export async function defer(app: App, item: CertificateItem, nextAttemptAt: Date | null): Promise<void> {
  await run(
    app.db,
    sql`update certificate set next_attempt_at = ${nextAttemptAt}::timestamptz, lease_owner = null, lease_expires_at = null where ${held(item)}`,
  )
}

/** Records progress. Throws if the lease is lost: another process, or an upload, has taken over. */
export async function record(app: App, item: CertificateItem, changes: Record<string, unknown>): Promise<void> {
  const changed = await run(app.db, sql`update certificate set ${assignments(changes)} where ${held(item)}`)
  if (changed === 0) throw new LostLease()
}

export class LostLease extends Error {}

/** Ends the work on a certificate with an event. Does nothing if the lease is lost. */
export async function settle(app: App, item: CertificateItem, changes: Record<string, unknown>, event: EventDefinition): Promise<void> {
  await transact(app, systemCaller(item.organizationId), { emits: [event] }, async (work) => {
    // Locked first, as commands do.
    const domain = await row<CustomDomain>(work.tx, sql`select * from custom_domain where id = ${item.customDomainId}::uuid for update`)
    const changed = await row<Certificate>(
      work.tx,
      sql`update certificate set ${assignments({ ...changes, leaseOwner: null, leaseExpiresAt: null })} where ${held(item)} returning *`,
    )
    if (!domain || !changed) return
    await publish(work, event, certificateEventOf(domain, changed))
    work.wake(servedTopic)
  })
}

/** An order that has failed is over. One that may still succeed is continued. */
const overWith = { orderUrl: null, orderKey: null, challengeToken: null, challengeAnswer: null }

export const noOrder = overWith

/** Records a failed attempt, with the time of the next one. A certificate that is still valid stays in use. */
export async function noteFailure(app: App, item: CertificateItem, { failure, message, retryAfterMs }: Failed): Promise<void> {
  const attempts = item.attempts + 1
  const waitMs = waitAfter(attempts, failure, retryAfterMs)
  const isOver = failure === 'challenge' || failure === 'refused' || failure === 'protocol'
  const next = sql`app_now() + ${waitMs} * interval '1 millisecond'`
  await settle(
    app,
    item,
    {
      ...{ attempts, error: message.slice(0, maxErrorLength), lastAttemptAt: sql`app_now()` },
      status: item.status === 'PENDING' ? 'FAILED' : undefined,
      // Not after the end, when the status changes.
      nextAttemptAt: item.status === 'ACTIVE' ? sql`least(${next}, greatest(expires_at, app_now()))` : next,
      blockedUntil: failure === 'rate_limited' ? next : undefined,
      ...(isOver ? overWith : {}),
    },
    certificateEvents.failing,
  )
}

const maxErrorLength = 1_000
