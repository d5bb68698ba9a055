import { z } from 'zod'
import type { Certificate } from '../../../generated/prisma/client.ts'
import { defineQuery } from '../../../platform/command.ts'
import { rows, sql, type Tx } from '../../../platform/db/index.ts'
import { customDomainListing } from '../../apps/custom-domain/index.ts'

/** A certificate as it is shown. */
export type CertificateView = Pick<
  Certificate,
  'source' | 'status' | 'issuer' | 'fingerprint' | 'notBefore' | 'expiresAt' | 'error' | 'nextAttemptAt'
>

/** The certificates of some custom domains, in their order. Null for a domain without one. */
export async function certificatesByDomain(tx: Tx, customDomainIds: readonly string[]): Promise<(CertificateView | null)[]> {
  const found = await rows<CertificateView & { customDomainId: string }>(
    tx,
    sql`select custom_domain_id, source, status, issuer, fingerprint, not_before, expires_at, error, next_attempt_at
        from certificate where custom_domain_id = any(${[...customDomainIds]}::uuid[])`,
  )
  const byDomain = new Map(found.map((certificate) => [certificate.customDomainId, certificate]))
  return customDomainIds.map((id) => byDomain.get(id) ?? null)
}

export const findCertificates = defineQuery({
  name: 'certificatesByDomain',
  description:
    'The certificates of several custom domains, in the order of the domains. Null without one, and for a domain not visible to the caller.',
  permission: 'view:domains',
  ids: { 'customDomainIds.*': 'CustomDomain' },
  input: z.object({ customDomainIds: z.array(z.string()) }),
  async run(read, { customDomainIds }) {
    const seen = new Set((await customDomainListing.find({ ...read, columns: ['id'] }, customDomainIds)).map(({ id }) => id))
    const certificates = await certificatesByDomain(read.tx, customDomainIds)
    return customDomainIds.map((id, index) => (seen.has(id) ? certificates[index]! : null))
  },
})
