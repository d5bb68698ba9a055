/** Looks up the DNS records of a custom domain. */
import type { CustomDomain } from '../../../generated/prisma/client.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { PortError } from '../../../platform/errors.ts'
import type { App } from '../../../platform/work.ts'
import { dnsResolver } from '../../access/mail/index.ts'
import { type Check, challengeName, routerTarget, routingOf } from './dns-record.ts'

/** `texts` are those at the name of the proof. `routing` is null if the look-up of where the domain leads had no result. */
export type Found = { texts: string[]; routing: Check | null }

export type LookUp = Found | { error: string }

/** Null if there is no such domain. */
export async function lookUpById(app: App, id: string): Promise<LookUp | null> {
  const domain = await row<CustomDomain>(app.db, sql`select * from custom_domain where id = ${id}::uuid`)
  return domain && lookUp(app, domain)
}

/** Only the proof decides, so only its look-up can fail. */
export async function lookUp(app: App, { domain }: Pick<CustomDomain, 'domain'>): Promise<LookUp> {
  const dns = dnsResolver.use(app)
  const [texts, routing] = await Promise.all([answerOf(dns.txt(challengeName(domain))), lookUpRouting(app, domain)])
  if ('error' in texts) return { error: `The DNS records of ${domain} could not be looked up: ${texts.error}` }
  return { texts: texts.found, routing }
}

async function lookUpRouting(app: App, domain: string): Promise<Check | null> {
  const dns = dnsResolver.use(app)
  const { host, addresses } = routerTarget(app.settings)
  const [aliases, own, ofHost] = await Promise.all([
    answerOf(dns.cname(domain)),
    answerOf(dns.addresses(domain)),
    host === null ? { found: [] } : answerOf(dns.addresses(host)),
  ])
  if ('error' in aliases || 'error' in own) return null
  return routingOf({ aliases: aliases.found, addresses: own.found }, host, [...addresses, ...('found' in ofHost ? ofHost.found : [])])
}

async function answerOf(asked: Promise<string[]>): Promise<{ found: string[] } | { error: string }> {
  try {
    return { found: await asked }
  } catch (error) {
    if (!(error instanceof PortError)) throw error
    return error.code === 'NOT_FOUND' ? { found: [] } : { error: error.message }
  }
}
