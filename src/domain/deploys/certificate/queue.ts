/** The queue of certificates: which rows need attention, and what is done for each. */

import type { Chore } from '../../../platform/claim.ts'
import { type Claims, claim, type End, firstDueInMs, type Queue, renew, setAsideText } from '../../../platform/claim.ts'
import { row, rows, run, sql } from '../../../platform/db/index.ts'
import { newId } from '../../../platform/id.ts'
import type { App } from '../../../platform/work.ts'
import { allCertificateEvents, certificateEvents } from './events.ts'
import { type CertificateItem, dayMs, nextWarningAt, ordersTopic, requestsTopic } from './model.ts'
import { orderCertificate } from './order.ts'
import { certificateAuthority } from './ports.ts'
import { defer, endLease, noteFailure, settle } from './settle.ts'

/** Orders mostly wait for the authority. */
const concurrency = 4

const wanted = sql`t.next_attempt_at is not null`

export const certificateQueue: Queue<CertificateItem> = {
  name: 'certificates',
  emits: allCertificateEvents,
  rows: { table: 'certificate', match: ({ id }) => sql`id = ${id}::uuid` },
  topic: ordersTopic,
  pollMs: 60_000,
  concurrency,
  abortOnStop: true,
  claim: claimCertificates,
  renew: (app, { id, leaseEpoch }) => renew(app.db, 'certificate', sql`id = ${id}::uuid`, leaseEpoch, app.settings.WORKER_LEASE_MS),
  release: endLease,
  work: attend,
  setAside: async (app, item) => void (await noteFailure(app, item, { failure: 'protocol', message: setAsideText, retryAfterMs: dayMs })),
}

/** Costs a single statement if nothing is due, which is the usual case. */
async function claimCertificates(app: App, worker: string, limit: number): Promise<Claims<CertificateItem>> {
  const firstDue = () => firstDueInMs(app.db, 'certificate t', 'greatest(t.next_attempt_at, t.lease_expires_at)', wanted)
  const dueInMs = await firstDue()
  if (dueInMs === null || dueInMs > 0) return { items: [], dueInMs, waitsForOwn: false }
  const items = await claim<CertificateItem>(app.db, {
    table: 'certificate',
    key: ['id'],
    due: sql`${wanted} and t.next_attempt_at <= app_now()`,
    order: sql`t.next_attempt_at`,
    limit,
    owner: worker,
    leaseMs: app.settings.WORKER_LEASE_MS,
    returning: sql`t.id, t.organization_id, t.custom_domain_id, t.source, t.status, t.order_url, t.order_key, t.attempts, t.not_before, t.expires_at,
      t.lease_epoch, t.lease_ended`,
  })
  return { items, dueInMs: await firstDue(), waitsForOwn: false }
}

async function attend(app: App, item: CertificateItem, signal: AbortSignal): Promise<End | void> {
  const found = await row<{ domain: string; isVerified: boolean; now: Date }>(
    app.db,
    sql`select domain, verified_at is not null as is_verified, app_now() as now from custom_domain where id = ${item.customDomainId}::uuid`,
  )
  if (!found) return
  const { domain, isVerified, now } = found
  const { source, status, expiresAt } = item
  const isOrdered = source === 'ACME' && isVerified && certificateAuthority.isProvided(app)
  if (status === 'ACTIVE' && expiresAt !== null && expiresAt <= now) {
    const changes = { status: 'EXPIRED', nextAttemptAt: isOrdered ? now : null } as const
    await settle(app, item, changes, certificateEvents.expired)
    return isOrdered ? 'pending' : 'done'
  }
  if (isOrdered) return orderCertificate(app, item, domain, signal)
  if (status !== 'ACTIVE' || expiresAt === null) return defer(app, item, null)
  if (source === 'ACME') return defer(app, item, new Date(Math.min(now.getTime() + dayMs, expiresAt.getTime())))
  const error = `The certificate was uploaded, so it is not renewed automatically. Upload another one before ${expiresAt.toISOString()}.`
  await settle(app, item, { error, nextAttemptAt: nextWarningAt(now, expiresAt) }, certificateEvents.failing)
}

const batch = 100

/** Has certificates ordered for verified domains that have none: new ones, and all when ACME_DIRECTORY_URL is set later. */
export const requestCertificates: Chore = {
  name: 'request certificates',
  topic: requestsTopic,
  everyMs: 60_000,
  async run(app) {
    if (!certificateAuthority.isProvided(app)) return
    const domains = await rows<{ id: string; organizationId: string }>(
      app.db,
      sql`select d.id, d.organization_id from custom_domain d left join certificate c on c.custom_domain_id = d.id
          where d.verified_at is not null and (c.id is null or (c.source = 'ACME' and c.next_attempt_at is null)) order by d.id limit ${batch}`,
    )
    for (const { id, organizationId } of domains) {
      await run(
        app.db,
        sql`insert into certificate (id, organization_id, custom_domain_id, source, next_attempt_at, updated_at)
              select ${newId()}::uuid, organization_id, id, 'ACME', app_now(), app_now() from custom_domain
              where id = ${id}::uuid and organization_id = ${organizationId}::uuid and verified_at is not null
            on conflict (custom_domain_id) do update set next_attempt_at = app_now()
              where certificate.source = 'ACME' and certificate.next_attempt_at is null`,
      )
    }
    if (domains.length > 0) app.wake.notify(ordersTopic)
    return domains.length === batch ? 'again' : undefined
  },
}
