import { z } from 'zod'
import type { CustomDomain, WebService } from '../../../generated/prisma/client.ts'
import { defineCommand, visible } from '../../../platform/command.ts'
import { newRow, row, rows, run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { checkEvents, recordCheck } from './check.ts'
import { domainNameSchema, isReserved } from './domain-name.ts'
import { customDomainErrors } from './errors.ts'
import { customDomainEventOf, customDomainEvents } from './events.ts'
import { lookUpById } from './look-up.ts'
import { maxDomains, newToken } from './model.ts'

const lockService = (work: Work, { webServiceId }: Record<string, string>) =>
  row<WebService>(
    work.tx,
    sql`select s.* from web_service s
        where s.id = ${webServiceId}::uuid and ${visible(work.caller, sql`s`)} and s.desired_state <> 'DELETED' for update`,
  )

const lockDomain = (work: Work, { id }: Record<string, string>) =>
  row<CustomDomain>(work.tx, sql`select d.* from custom_domain d where d.id = ${id}::uuid and ${visible(work.caller, sql`d`)} for update`)

export const addCustomDomain = defineCommand({
  name: 'addCustomDomain',
  description: `Adds a domain to a web service or a static site. Publish its \`records\` in the DNS; the service is served at the domain once the TXT record is found. Fails with \`domain_taken\` if the organization has the domain already, or if another one has proven it. A service can have at most ${maxDomains} domains.`,
  permission: 'manage:domains',
  ids: { webServiceId: 'WebService' },
  targetType: 'WebService',
  creates: 'CustomDomain',
  target: lockService,
  input: z.object({ webServiceId: z.string(), domain: domainNameSchema }),
  emits: [customDomainEvents.added],
  async run(work, { domain }, { id: webServiceId, organizationId, projectId, kind }: WebService) {
    if (kind === 'WORKER') throw customDomainErrors.custom_domain_unsupported({ field: 'webServiceId' })
    if (isReserved(domain, work.app.settings))
      throw errors.invalid_input({ field: 'domain', text: 'domain: must not be a domain of this installation' })
    await demandFree(work, domain)
    await demandRoom(work, webServiceId)
    const fields = {
      id: newId(),
      organizationId,
      projectId,
      webServiceId,
      domain,
      token: newToken(),
      nextCheckAt: sql`app_now() + interval '1 minute'`,
    }
    const customDomain = await row<CustomDomain>(
      work.tx,
      sql`insert into custom_domain ${newRow(fields)} on conflict (organization_id, domain) do nothing returning *`,
    )
    if (!customDomain) throw customDomainErrors.domain_taken({ field: 'domain', text: 'The organization has added this domain already.' })
    await publish(work, customDomainEvents.added, customDomainEventOf(customDomain))
    return { customDomain }
  },
})

/** An unproven claim of another organization is no obstacle, and neither is one whose proof has been gone for long. */
async function demandFree(work: Work, domain: string): Promise<void> {
  const taken = await row(
    work.tx,
    sql`select 1 as taken from custom_domain where domain = ${domain} and verified_at is not null and dns_status = 'VERIFIED'
          and organization_id <> ${work.caller.organizationId}::uuid`,
  )
  if (taken) throw customDomainErrors.domain_taken({ field: 'domain' })
}

async function demandRoom(work: Work, webServiceId: string): Promise<void> {
  const { n } = (await row<{ n: number }>(
    work.tx,
    sql`select count(*)::int as n from custom_domain where web_service_id = ${webServiceId}::uuid`,
  ))!
  if (n >= maxDomains)
    throw customDomainErrors.custom_domain_limit({ text: `A service can have at most ${maxDomains} custom domains. Delete one first.` })
}

export const verifyCustomDomain = defineCommand({
  name: 'verifyCustomDomain',
  description:
    'Looks up the DNS records of a custom domain now. If the TXT record is found, the domain is `VERIFIED` and served. Fails with `domain_taken` if another organization has proven the domain and can still do so, and with `unavailable` if the DNS does not answer; the status is then unchanged. Domains are also checked automatically: after a minute and then less and less often for 30 days, and every day (setting DOMAIN_CHECK_MS) once they are verified.',
  permission: 'manage:domains',
  ids: { id: 'CustomDomain' },
  targetType: 'CustomDomain',
  target: lockDomain,
  input: z.object({ id: z.string() }),
  emits: checkEvents,
  // The names of the records are not secret, and the result is used for the caller's own domains only.
  prepare: ({ app }, { id }) => lookUpById(app, id),
  async run(work, _input, target: CustomDomain, found) {
    if (!found) throw errors.not_found({ field: 'id' })
    if ('error' in found) throw errors.unavailable({ text: `${found.error} The status of the domain is unchanged.` })
    return { customDomain: await recordCheck(work, target, found) }
  },
})

/** Locks the service of the domain, too, so that only one domain becomes the primary one. */
async function lockDomainOfService(work: Work, ids: Record<string, string>): Promise<CustomDomain | null> {
  await row(
    work.tx,
    sql`select 1 as locked from web_service s where s.id = (select d.web_service_id from custom_domain d where d.id = ${ids.id}::uuid and ${visible(work.caller, sql`d`)})
        for no key update`,
  )
  return lockDomain(work, ids)
}

export const setPrimaryCustomDomain = defineCommand({
  name: 'setPrimaryCustomDomain',
  description:
    "Makes a verified domain the primary one of its service: the other custom domains of the service redirect to it. The service's own host name does not. With `isPrimary: false`, the service has no primary domain, and is served at all of them. Fails with `custom_domain_not_verified` if the domain is not verified.",
  permission: 'manage:domains',
  ids: { id: 'CustomDomain' },
  targetType: 'CustomDomain',
  target: lockDomainOfService,
  input: z.object({ isPrimary: z.boolean().nullish() }),
  emits: [customDomainEvents.primaryChanged],
  async run(work, input, target: CustomDomain) {
    const isPrimary = input.isPrimary ?? true
    if (isPrimary && (target.verifiedAt === null || target.dnsStatus !== 'VERIFIED'))
      throw customDomainErrors.custom_domain_not_verified({ field: 'id' })
    if (isPrimary === target.isPrimary) return { customDomain: target }
    if (isPrimary)
      await run(
        work.tx,
        sql`update custom_domain set is_primary = false, version = version + 1 where web_service_id = ${target.webServiceId}::uuid and is_primary`,
      )
    const customDomain = (await row<CustomDomain>(
      work.tx,
      sql`update custom_domain set is_primary = ${isPrimary}, version = version + 1 where id = ${target.id}::uuid returning *`,
    ))!
    await publish(work, customDomainEvents.primaryChanged, customDomainEventOf(customDomain))
    work.wake('routes')
    return { customDomain }
  },
})

export const deleteCustomDomain = defineCommand({
  name: 'deleteCustomDomain',
  description: 'Removes a domain from its service, which is no longer served at it.',
  permission: 'delete:domains',
  ids: { id: 'CustomDomain' },
  targetType: 'CustomDomain',
  target: lockDomain,
  input: z.object({}),
  emits: [customDomainEvents.deleted],
  async run(work, _input, target: CustomDomain) {
    await run(work.tx, sql`delete from custom_domain where id = ${target.id}::uuid`)
    work.wake('routes')
    await publish(work, customDomainEvents.deleted, customDomainEventOf(target))
    return { deletedId: target.id }
  },
})

/** Removes the domains of a service that is deleted, so that they are free at once. */
export async function removeDomainsOf(work: Work, webServiceId: string): Promise<void> {
  const removed = await rows<CustomDomain>(work.tx, sql`delete from custom_domain where web_service_id = ${webServiceId}::uuid returning *`)
  for (const domain of removed) await publish(work, customDomainEvents.deleted, customDomainEventOf(domain))
}
