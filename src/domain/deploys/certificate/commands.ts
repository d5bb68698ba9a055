import { z } from 'zod'
import type { Certificate, CustomDomain } from '../../../generated/prisma/client.ts'
import { defineCommand, visible } from '../../../platform/command.ts'
import { assignments, newRow, row, run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { certificateErrors } from './errors.ts'
import { certificateEventOf, certificateEvents } from './events.ts'
import { attemptSoon } from './job.ts'
import { ordersTopic, privateKeyIdentity, renewalAt, requestsTopic, servedTopic } from './model.ts'
import { certificateAuthority } from './ports.ts'
import { noOrder } from './settle.ts'
import { checkChain, maxChainLength, maxKeyLength } from './x509.ts'

const ofDomain = {
  ids: { customDomainId: 'CustomDomain' },
  targetType: 'CustomDomain',
  target: (work: Work, { customDomainId: id }: Record<string, string>) =>
    row<CustomDomain>(
      work.tx,
      sql`select d.* from custom_domain d where d.id = ${id}::uuid and ${visible(work.caller, sql`d`)} for update`,
    ),
} as const

const certificateOf = (work: Work, domain: CustomDomain) =>
  row<Certificate>(work.tx, sql`select * from certificate where custom_domain_id = ${domain.id}::uuid for update`)

/** Whoever is working on the certificate has lost it. */
const fenced = { leaseOwner: null, leaseExpiresAt: null, leaseEpoch: sql`lease_epoch + 1`, leaseEnded: sql`lease_epoch + 1` }

export const uploadCertificate = defineCommand({
  name: 'uploadCertificate',
  description:
    'Uploads a certificate for a custom domain, in place of its present one. It is served as soon as the domain is verified, and it is not renewed automatically: `certificate.failing` events follow after two thirds of its life. The private key is stored encrypted and never returned. Fails with `tls_disabled` if the router serves no TLS.',
  permission: 'manage:domains',
  ...ofDomain,
  input: z.object({
    customDomainId: z.string(),
    certificatePem: z.string().max(maxChainLength),
    privateKeyPem: z.string().max(maxKeyLength),
  }),
  emits: [certificateEvents.uploaded],
  async run(work, { certificatePem, privateKeyPem }, target: CustomDomain) {
    const { app, tx } = work
    if (app.settings.ROUTER_TLS_PORT === undefined) throw certificateErrors.tls_disabled()
    const { now } = (await row<{ now: Date }>(tx, sql`select app_now() as now`))!
    const checked = checkChain({ certificatePem, privateKeyPem, domain: target.domain, now })
    if ('problem' in checked) {
      const { field, text } = checked.problem
      throw errors.invalid_input({ field, text: `${field}: ${text}` })
    }
    const former = await certificateOf(work, target)
    const id = former?.id ?? newId()
    const { chain, facts } = checked
    const fields = {
      ...{ source: 'UPLOADED', status: 'ACTIVE', chain, ...facts, attempts: 0, error: null, blockedUntil: null, ...noOrder },
      privateKey: await app.keyring.seal(tx, target.organizationId, privateKeyIdentity(id), privateKeyPem),
      nextAttemptAt: renewalAt(now, facts),
    }
    const stored = (await row<Certificate>(
      tx,
      former
        ? sql`update certificate set ${assignments({ ...fields, ...fenced, generation: former.generation + 1 })} where id = ${id}::uuid returning *`
        : sql`insert into certificate ${newRow({ ...fields, id, organizationId: target.organizationId, customDomainId: target.id, generation: 1 })} returning *`,
    ))!
    await publish(work, certificateEvents.uploaded, certificateEventOf(target, stored))
    work.wake(servedTopic, ordersTopic)
    return { customDomain: target }
  },
})

export const deleteCertificate = defineCommand({
  name: 'deleteCertificate',
  description:
    'Deletes the uploaded certificate of a custom domain. With automatic certificates, one is ordered; otherwise the domain is served over HTTP only. Fails with `certificate_automatic` for an automatic certificate while they are issued.',
  permission: 'manage:domains',
  ...ofDomain,
  input: z.object({ customDomainId: z.string() }),
  emits: [certificateEvents.deleted],
  async run(work, _input, target: CustomDomain) {
    const certificate = await certificateOf(work, target)
    if (!certificate) throw errors.not_found({ field: 'customDomainId', text: 'The custom domain has no certificate.' })
    if (certificate.source === 'ACME' && certificateAuthority.isProvided(work.app)) throw certificateErrors.certificate_automatic()
    await run(work.tx, sql`delete from certificate where id = ${certificate.id}::uuid`)
    await publish(work, certificateEvents.deleted, certificateEventOf(target, certificate))
    work.wake(servedTopic, requestsTopic)
    return { deletedId: target.id, customDomain: target }
  },
})

export const retryCertificate = defineCommand({
  name: 'retryCertificate',
  description:
    'Orders or renews the automatic certificate of a custom domain now instead of at `nextAttemptAt`. At most one attempt per minute is made, and none before the time that the certificate authority has asked to wait for. Does nothing for a certificate that is valid and not due for renewal. Fails with `acme_disabled` if certificates are not issued automatically, with `domain_not_verified`, and with `certificate_uploaded`.',
  permission: 'manage:domains',
  ...ofDomain,
  input: z.object({ customDomainId: z.string() }),
  emits: [],
  async run(work, _input, target: CustomDomain) {
    if (!certificateAuthority.isProvided(work.app)) throw certificateErrors.acme_disabled()
    if (target.verifiedAt === null) throw certificateErrors.domain_not_verified()
    const certificate = await certificateOf(work, target)
    if (certificate?.source === 'UPLOADED') throw certificateErrors.certificate_uploaded()
    if (certificate && (certificate.status !== 'ACTIVE' || certificate.error !== null)) await attemptSoon(work, certificate.id)
    work.wake(requestsTopic)
    return { customDomain: target }
  },
})
