/** The variables that web services receive from a connected email service: the address of its API, a key of their own, and a sender. */
import type { EmailApiKey } from '../../../generated/prisma/client.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { apiEndpoint } from '../../access/mail/index.ts'
import type { BindableKind, BoundValue } from '../resource-binding/index.ts'
import { keyIdentity, lockEmailService } from './model.ts'

type BoundRow = Pick<EmailApiKey, 'id' | 'resourceBindingId' | 'emailServiceId' | 'sealed' | 'fingerprint' | 'createdAt' | 'createdBy'> & {
  domain: string | null
  domainSince: Date | null
}

export const bindableEmailService: BindableKind = {
  type: 'EmailService',
  variables: (alias) => ['API_URL', 'API_KEY', 'FROM'].map((name) => `${alias ?? 'EMAIL'}_${name}`),
  async lock(work, id) {
    const service = await lockEmailService(work, id)
    return service && { id: service.id, projectId: null, environmentId: null }
  },
  async valuesOf({ app, tx }, bindings) {
    const found = await rows<BoundRow>(
      tx,
      sql`select k.id, k.resource_binding_id, k.email_service_id, k.sealed, k.fingerprint, k.created_at, k.created_by,
                 d.domain, coalesce(d.verified_at, d.created_at) as domain_since
          from email_api_key k left join lateral (
            select s.domain, s.verified_at, s.created_at from sending_domain s where s.email_service_id = k.email_service_id
            order by s.status = 'VERIFIED' desc, s.id limit 1) d on true
          where k.resource_binding_id = any(${bindings.map(({ id }) => id)}::uuid[])`,
    )
    return new Map(found.map((key) => [key.resourceBindingId!, valuesOf(apiEndpoint.use(app).url, key)]))
  },
}

function valuesOf(apiUrl: string, { id, emailServiceId, sealed, fingerprint, createdAt, createdBy, ...key }: BoundRow): BoundValue[] {
  const given = { version: 1, changedAt: createdAt, changedBy: createdBy }
  const plain = { isSecret: false, isShort: false }
  return [
    { ...given, ...plain, value: { plain: `${apiUrl}/api/email/services/${emailServiceId}/send` } },
    { ...given, isSecret: true, isShort: false, value: { identity: keyIdentity(id), sealed: sealed! }, fingerprint: fingerprint! },
    { ...given, ...plain, value: { plain: `no-reply@${key.domain ?? 'localhost'}` }, changedAt: key.domainSince ?? createdAt },
  ]
}
