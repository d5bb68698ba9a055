/** Records what checks of custom domains found, and repeats them. Who may serve a domain is decided here. */
import type { CustomDomain } from '../../../generated/prisma/client.ts'
import { systemCaller } from '../../../platform/access.ts'
import type { Chore } from '../../../platform/claim.ts'
import { assignments, row, rows, run, sql, violated } from '../../../platform/db/index.ts'
import { DomainError } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { type App, transact, type Work } from '../../../platform/work.ts'
import { ownershipOf, proves } from './dns-record.ts'
import { customDomainErrors } from './errors.ts'
import { customDomainEventOf, customDomainEvents, customDomainFailed } from './events.ts'
import { type Found, lookUp } from './look-up.ts'
import { nextCheckMs } from './model.ts'

export const checkEvents = [customDomainEvents.verified, customDomainFailed]

/** The proof of a verified domain must be found absent so often, and for DOMAIN_GRACE_MS, before that counts. */
const absencesUntilFailed = 3

/** Records what a check of a locked domain found. Throws `domain_taken` for a proven domain that belongs to another organization. */
export async function recordCheck(work: Work, domain: CustomDomain, { texts, routing }: Found): Promise<CustomDomain> {
  const isProven = proves(texts, domain.token)
  if (isProven && domain.verifiedAt === null) await displaceHolder(work, domain, texts)
  const { graceMs, ageMs } = await timingOf(work, domain)
  const isHeld = domain.verifiedAt !== null
  const absences = isHeld && !isProven ? domain.absences + 1 : 0
  const isOver = isHeld ? absences >= absencesUntilFailed && graceMs <= 0 : graceMs <= 0
  const dnsStatus = isProven ? 'VERIFIED' : isOver ? 'FAILED' : domain.dnsStatus
  const wait = nextCheckMs(work.app.settings, { isHeld: isHeld || isProven, isFailing: absences > 0 && dnsStatus === 'VERIFIED', ageMs })
  const changed = (await row<CustomDomain>(
    work.tx,
    sql`update custom_domain set ${assignments({
      dnsStatus,
      absences,
      checks: JSON.stringify({
        ...(domain.checks as object),
        OWNERSHIP: ownershipOf(texts, domain.token),
        ...(routing && { ROUTING: routing }),
      }),
      checkError: null,
      checkedAt: sql`app_now()`,
      nextCheckAt: wait === null ? null : sql`app_now() + ${wait} * interval '1 millisecond'`,
      failingSince: isHeld && !isProven ? sql`coalesce(failing_since, app_now())` : null,
      verifiedAt: isProven ? sql`coalesce(verified_at, app_now())` : undefined,
      version: dnsStatus === domain.dnsStatus ? undefined : domain.version + 1,
    })} where id = ${domain.id}::uuid returning *`,
  ).catch((error: unknown) => {
    if (violated(error)?.constraint !== 'custom_domain_verified_key') throw error
    throw customDomainErrors.domain_taken({ field: 'id', cause: error })
  }))!
  if (dnsStatus === domain.dnsStatus) return changed
  if (dnsStatus === 'VERIFIED') await publish(work, customDomainEvents.verified, customDomainEventOf(changed))
  else await publishFailed(work, changed, isHeld ? 'record_missing' : 'not_proven')
  if (changed.verifiedAt !== null) work.wake('routes')
  return changed
}

/** `graceMs`: until a domain that is not proven counts as failed. A verified one loses its grace with its proof, another one from its start. */
async function timingOf(work: Work, { id, verifiedAt }: CustomDomain): Promise<{ graceMs: number; ageMs: number }> {
  const since = verifiedAt === null ? sql`created_at` : sql`coalesce(failing_since, app_now())`
  const { ageMs, sinceMs } = (await row<{ ageMs: number; sinceMs: number }>(
    work.tx,
    sql`select extract(epoch from app_now() - created_at)::float8 * 1000 as age_ms, extract(epoch from app_now() - ${since})::float8 * 1000 as since_ms
        from custom_domain where id = ${id}::uuid`,
  ))!
  return { ageMs, graceMs: work.app.settings.DOMAIN_GRACE_MS - sinceMs }
}

/** A domain passes to whoever proves it once the proof of its holder has been gone for long. Both proofs are at the same name. */
async function displaceHolder(work: Work, { id, domain }: CustomDomain, texts: readonly string[]): Promise<void> {
  const holder = await row<CustomDomain>(
    work.tx,
    sql`select * from custom_domain where domain = ${domain} and verified_at is not null and id <> ${id}::uuid for update`,
  )
  if (!holder) return
  if (holder.dnsStatus === 'VERIFIED' || proves(texts, holder.token)) throw customDomainErrors.domain_taken({ field: 'id' })
  const displaced = (await row<CustomDomain>(
    work.tx,
    sql`update custom_domain set verified_at = null, is_primary = false, failing_since = null, absences = 0, version = version + 1
        where id = ${holder.id}::uuid returning *`,
  ))!
  const { organizationId } = holder
  await publishFailed({ ...work, caller: systemCaller(organizationId) }, displaced, 'taken_over')
}

const publishFailed = (work: Work, domain: CustomDomain, reason: 'record_missing' | 'not_proven' | 'taken_over') => {
  const { data, ...event } = customDomainEventOf(domain)
  return publish(work, customDomainFailed, { ...event, data: { ...data, reason } })
}

/**
 * Domains that are checked in one run, and at the same time. Organizations take turns, so that one with many domains whose DNS hangs delays
 * the others by no more than a look-up.
 */
const batch = 40
const concurrency = 10
/** A domain whose check is cut off by a crash is checked again after this time. */
const cutOffMs = 15 * 60_000

export const checkCustomDomains: Chore = {
  name: 'check custom domains',
  emits: checkEvents,
  topic: null,
  everyMs: 20_000,
  async run(app, signal) {
    const due = await rows<Due>(
      app.db,
      sql`with ranked as (
            select id, row_number() over (partition by organization_id order by next_check_at) as turn from custom_domain where next_check_at <= app_now()),
          due as (
            select d.id from custom_domain d join ranked r on r.id = d.id where d.next_check_at <= app_now()
            order by r.turn, d.next_check_at limit ${batch} for update of d skip locked)
          update custom_domain d set next_check_at = app_now() + ${cutOffMs} * interval '1 millisecond' from due where d.id = due.id
          returning d.*, extract(epoch from app_now() - d.created_at)::float8 * 1000 as age_ms`,
    )
    const waiting = due.values()
    const work = async () => {
      for (const domain of waiting) if (!signal.aborted) await checkDue(app, domain)
    }
    await Promise.all(Array.from({ length: concurrency }, work))
    return due.length === batch ? 'again' : undefined
  },
}

type Due = CustomDomain & { ageMs: number }

async function checkDue(app: App, due: Due): Promise<void> {
  const found = await lookUp(app, due)
  if ('error' in found) return recordError(app, due, found.error)
  const attempt = transact(app, systemCaller(due.organizationId), { emits: checkEvents }, async (work) => {
    const locked = await row<CustomDomain>(work.tx, sql`select * from custom_domain where id = ${due.id}::uuid for update`)
    if (locked) await recordCheck(work, locked, found)
  })
  await attempt.catch((error: unknown) => {
    if (!(error instanceof DomainError)) throw error
    return recordError(app, due, error.message)
  })
}

/** A check without a result changes no status. */
async function recordError(app: App, { id, verifiedAt, ageMs }: Due, text: string): Promise<void> {
  const wait = nextCheckMs(app.settings, { isHeld: verifiedAt !== null, isFailing: true, ageMs })
  await run(
    app.db,
    sql`update custom_domain set check_error = ${text}, next_check_at = app_now() + ${wait}::float8 * interval '1 millisecond' where id = ${id}::uuid`,
  )
}
