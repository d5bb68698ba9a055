/**
 * How many events an organization may bring about in a minute. The count is the sequencer's (`event_usage`); each process reads it
 * at most once a second and adds what it published itself since, so that no command waits for another one's count. The quota may
 * be overrun by what all processes together publish within that second.
 */
import { row, sql } from './db/index.ts'
import { errors } from './errors.ts'
import { perApp } from './per-app.ts'
import type { App, Work } from './work.ts'

type Known = { readAt: number; events: number; own: number; endsInMs: number }

const knownByOrganization = perApp(() => new Map<string, Known>())
const freshMs = 1_000

/** Counts events to come. Throws `rate_limited` when the quota is used up. What Quayside does by itself, such as the end of a deployment, is counted and never refused. */
export async function demandQuota({ app, tx, caller }: Work, count = 1): Promise<void> {
  if (caller.subject.type === 'system' || count === 0) return
  const known = await usageOf(app, tx, caller.organizationId)
  const quota = app.settings.EVENT_QUOTA_PER_MINUTE
  if (known.events + known.own + count > quota) {
    throw errors.rate_limited({
      text: `This organization can cause at most ${quota} events per minute. Retry later.`,
      details: { quota, retryAfterMs: Math.max(0, Math.ceil(known.endsInMs - (performance.now() - known.readAt))) },
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
