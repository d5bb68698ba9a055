/**
 * Limits the events per organization and minute. The sequencer counts them in `event_usage`. Each process reads the count at most once a
 * second and adds what it has published since, so that commands don't wait for each other's counts. All processes together may therefore
 * exceed the quota by what they publish within that second.
 */
import { row, sql } from './db/index.ts'
import { errors } from './errors.ts'
import { perApp } from './per-app.ts'
import type { App, Work } from './work.ts'

type Known = { readAt: number; events: number; own: number; endsInMs: number }

const knownByOrganization = perApp(() => new Map<string, Known>())
const freshMs = 1_000

/**
 * Counts events that are about to be published. Throws `rate_limited` if they exceed the quota. Events that Quayside causes itself, such as
 * the end of a deployment, are counted by the sequencer but never refused.
 */
export async function demandQuota({ app, tx, caller }: Work, count = 1): Promise<void> {
  if (caller.subject.type === 'system' || count === 0) return
  const known = await usageOf(app, tx, caller.organizationId)
  const quota = app.settings.EVENT_QUOTA_PER_MINUTE
  if (known.events + known.own + count > quota) {
    throw errors.rate_limited({
      text: `This organization can cause at most ${quota} events per minute. Retry later.`,
      details: { quota, retryAfterSeconds: Math.max(1, Math.ceil((known.endsInMs - (performance.now() - known.readAt)) / 1_000)) },
    })
  }
  known.own += count
}

async function usageOf(app: App, tx: Work['tx'], organizationId: string): Promise<Known> {
  const byOrganization = knownByOrganization(app)
  const present = byOrganization.get(organizationId)
  if (present && performance.now() - present.readAt < freshMs) return present
  const found = await row<{ events: number; endsInMs: number }>(
    tx,
    sql`select coalesce((select events from event_usage where organization_id = ${organizationId}::uuid
                         and minute = date_trunc('minute', app_now())), 0) as events,
               60000 - extract(milliseconds from app_now())::float8 as ends_in_ms`,
  )
  const known = { readAt: performance.now(), events: found?.events ?? 0, own: 0, endsInMs: found?.endsInMs ?? 60_000 }
  if (byOrganization.size > 10_000) byOrganization.clear()
  byOrganization.set(organizationId, known)
  return known
}
