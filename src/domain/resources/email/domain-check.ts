/** Checks of sending domains against the DNS: on request, and by a chore. */
import type { EmailService, SendingDomain } from '../../../generated/prisma/client.ts'
import { systemCaller } from '../../../platform/access.ts'
import type { Chore } from '../../../platform/claim.ts'
import { assignments, row, rows, run, sql } from '../../../platform/db/index.ts'
import { PortError } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { type App, transact, type Work } from '../../../platform/work.ts'
import { dnsResolver } from '../../access/mail/index.ts'
import { type Answers, type Checks, evaluate, isProven, isRefuted, nameOf, type Purpose, purposes, spfMechanism } from './dns-record.ts'
import { domainEventOf, emailServiceEvents, sendingDomainEvents } from './events.ts'
import { changeService } from './service.ts'

export const hourMs = 3_600_000
const pendingForMs = 72 * hourMs

export type Found = { checks: Checks } | { error: string }

/** Looks up the records of a domain. Null if there is no such domain. */
export async function lookUp(app: App, id: string): Promise<Found | null> {
  const domain = await row<SendingDomain>(app.db, sql`select * from sending_domain where id = ${id}::uuid`)
  return domain && check(app, domain)
}

async function check(app: App, domain: SendingDomain): Promise<Found> {
  const answers = await Promise.allSettled(purposes.map((purpose) => textsAt(app, nameOf(domain, purpose))))
  const failed = answers.find((answer) => answer.status === 'rejected')
  if (failed) {
    if (!(failed.reason instanceof PortError)) throw failed.reason
    return { error: `The DNS records of ${domain.domain} could not be looked up: ${failed.reason.message}` }
  }
  const texts = answers.map((answer) => (answer as PromiseFulfilledResult<string[] | null>).value)
  const found = Object.fromEntries(purposes.map((purpose, at) => [purpose, texts[at]])) as Record<Purpose, string[] | null> as Answers
  return { checks: evaluate(domain, spfMechanism(app.settings), found) }
}

/** Null if the name does not exist. */
async function textsAt(app: App, name: string): Promise<string[] | null> {
  try {
    return await dnsResolver.use(app).txt(name)
  } catch (error) {
    if (error instanceof PortError && error.code === 'NOT_FOUND') return null
    throw error
  }
}

/** Records the result of a check of a locked domain, with the event if its status changes. */
export async function recordCheck(work: Work, domain: SendingDomain, checks: Checks): Promise<SendingDomain> {
  const { EMAIL_DOMAIN_CHECK_MS, EMAIL_DOMAIN_GRACE_MS } = work.app.settings
  const proven = isProven(checks)
  const wasVerified = domain.status === 'VERIFIED'
  const timing = (await row<{ graceOver: boolean; fresh: boolean }>(
    work.tx,
    sql`select coalesce(${domain.failingSince}::timestamptz <= app_now() - ${EMAIL_DOMAIN_GRACE_MS} * interval '1 millisecond',
                        ${EMAIL_DOMAIN_GRACE_MS} = 0) as grace_over,
               ${domain.createdAt}::timestamptz > app_now() - ${pendingForMs} * interval '1 millisecond' as fresh`,
  ))!
  const inGrace = wasVerified && !proven && !timing.graceOver
  const status = proven || inGrace ? 'VERIFIED' : wasVerified || isRefuted(checks) ? 'FAILED' : ('PENDING' as const)
  const soon = inGrace || (!proven && timing.fresh)
  const changed = (await row<SendingDomain>(
    work.tx,
    sql`update sending_domain set ${assignments({
      status,
      checks: JSON.stringify(checks),
      checkError: null,
      checkedAt: sql`app_now()`,
      nextCheckAt: sql`app_now() + ${Math.min(EMAIL_DOMAIN_CHECK_MS, soon ? hourMs : EMAIL_DOMAIN_CHECK_MS)} * interval '1 millisecond'`,
      failingSince: inGrace ? sql`coalesce(failing_since, app_now())` : null,
      verifiedAt: proven ? sql`coalesce(verified_at, app_now())` : undefined,
      version: status === domain.status ? undefined : domain.version + 1,
    })} where id = ${domain.id}::uuid returning *`,
  ))!
  if (status === domain.status) return changed
  if (status === 'VERIFIED') {
    await publish(work, sendingDomainEvents.verified, domainEventOf(changed))
    await openProduction(work, domain)
  }
  if (status === 'FAILED') await publish(work, sendingDomainEvents.failed, domainEventOf(changed))
  return changed
}

/** The first domain of a service that is ever verified switches the service to production. */
async function openProduction(work: Work, { id, emailServiceId, verifiedAt }: SendingDomain): Promise<void> {
  if (verifiedAt !== null) return
  const service = await row<EmailService>(
    work.tx,
    sql`select s.* from email_service s where s.id = ${emailServiceId}::uuid and s.mode = 'SANDBOX' and not exists (
          select 1 from sending_domain d where d.email_service_id = s.id and d.verified_at is not null and d.id <> ${id}::uuid) for update`,
  )
  if (service) await changeService(work, service, { mode: 'PRODUCTION' })
}

/** Domains that are checked in one run, one after the other, so that many domains don't flood the resolver. */
const batch = 20

/** Checks the domains that are due. A domain whose DNS does not answer, or whose check is cut off by a crash, is checked after an hour. */
export const checkSendingDomains: Chore = {
  name: 'check sending domains',
  emits: [sendingDomainEvents.verified, sendingDomainEvents.failed, emailServiceEvents.updated],
  topic: null,
  everyMs: 5 * 60_000,
  async run(app, signal) {
    const due = await rows<SendingDomain>(
      app.db,
      sql`with due as (
            select id from sending_domain where next_check_at <= app_now() order by next_check_at limit ${batch} for update skip locked)
          update sending_domain d set next_check_at = app_now() + ${hourMs} * interval '1 millisecond' from due where d.id = due.id returning d.*`,
    )
    for (const domain of due) {
      if (signal.aborted) return
      await checkDue(app, domain)
    }
    return due.length === batch ? 'again' : undefined
  },
}

async function checkDue(app: App, domain: SendingDomain): Promise<void> {
  const found = await check(app, domain)
  if ('error' in found) {
    await run(app.db, sql`update sending_domain set check_error = ${found.error} where id = ${domain.id}::uuid`)
    return
  }
  await transact(app, systemCaller(domain.organizationId), { emits: checkSendingDomains.emits! }, async (work) => {
    const locked = await row<SendingDomain>(work.tx, sql`select * from sending_domain where id = ${domain.id}::uuid for update`)
    if (locked) await recordCheck(work, locked, found.checks)
  })
}
