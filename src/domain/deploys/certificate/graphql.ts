import { builder, enumType, type GraphqlContext, mutation, payloadOf } from '../../../graphql/builder/index.ts'
import { demand } from '../../../platform/command.ts'
import { encodeId } from '../../../platform/id.ts'
import { CustomDomain } from '../../apps/custom-domain/graphql.ts'
import { deleteCertificate, retryCertificate, uploadCertificate } from './commands.ts'
import { type CertificateView, certificatesByDomain } from './queries.ts'

const SslStatus = enumType('SslStatus', 'Status of the certificate of a custom domain.', {
  NONE: 'No certificate. The domain is served over HTTP only.',
  PENDING: 'The first certificate is being ordered. The domain is served over HTTP only.',
  ACTIVE: 'The domain is served over HTTPS, and plain HTTP redirects to it.',
  FAILED: 'The first certificate could not be ordered and is tried again. The domain is served over HTTP only.',
  EXPIRED: 'The certificate has expired. The domain is served over HTTP only.',
})

const CertificateSource = enumType('CertificateSource', 'Where a certificate comes from.', {
  ACME: 'Issued and renewed automatically by the certificate authority of the installation.',
  UPLOADED: 'Uploaded. Not renewed automatically.',
})

const Certificate = builder.objectRef<CertificateView>('Certificate').implement({
  description: 'The certificate of a custom domain.',
  fields: (t) => ({
    source: t.expose('source', { type: CertificateSource, description: 'Where the certificate comes from.' }),
    issuer: t.exposeString('issuer', { nullable: true, description: 'Name of its issuer. Null before the first certificate.' }),
    fingerprint: t.exposeString('fingerprint', {
      nullable: true,
      description: 'SHA-256 of the certificate in hexadecimal. Null before the first certificate.',
    }),
    notBefore: t.expose('notBefore', {
      type: 'DateTime',
      nullable: true,
      description: 'Start of its validity. Null before the first certificate.',
    }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', nullable: true, description: 'Expiry time. Null before the first certificate.' }),
    lastError: t.exposeString('error', {
      nullable: true,
      description: 'Why the last attempt to issue or renew it failed, or what its owner must do. Null otherwise.',
    }),
    nextAttemptAt: t.expose('nextAttemptAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time of the next attempt to issue or renew it, or of the next warning. Null if there is none.',
    }),
  }),
})

const certificateOf = (context: GraphqlContext, id: string): Promise<CertificateView | null> => {
  demand(context.caller, 'view:domains')
  return context.load('CustomDomain.certificate', id, (ids: readonly string[]) => certificatesByDomain(context.app.db, ids))
}

builder.prismaObjectFields(CustomDomain, (t) => ({
  sslStatus: t.field({
    type: SslStatus,
    description: 'Status of the certificate.',
    resolve: async ({ id }, _args, context) => (await certificateOf(context, id))?.status ?? 'NONE',
  }),
  sslExpiresAt: t.field({
    type: 'DateTime',
    nullable: true,
    description: 'Expiry time of the certificate. Null without one.',
    resolve: async ({ id }, _args, context) => (await certificateOf(context, id))?.expiresAt ?? null,
  }),
  certificate: t.field({
    type: Certificate,
    nullable: true,
    description: 'The certificate, also while it is being ordered. Null if there is none and none is ordered.',
    resolve: ({ id }, _args, context) => certificateOf(context, id),
  }),
}))

const customDomainId = 'ID of the custom domain.'

mutation(uploadCertificate, {
  input: (t) => ({
    customDomainId: t.id({ required: true, description: customDomainId }),
    certificatePem: t.string({
      required: true,
      description: 'Certificate of the domain in PEM, followed by the certificates of its issuers, each after the one that it has issued.',
    }),
    privateKeyPem: t.string({ required: true, description: 'Private key of the certificate in PEM, not encrypted.' }),
  }),
  payload: payloadOf('customDomain', CustomDomain, 'The domain.'),
})

mutation(deleteCertificate, {
  input: (t) => ({ customDomainId: t.id({ required: true, description: customDomainId }) }),
  payload: (t) => ({
    deletedId: t.id({
      description: 'ID of the custom domain whose certificate was deleted. Certificates have no ID of their own.',
      resolve: (result) => encodeId('CustomDomain', result.deletedId),
    }),
    customDomain: t.field({ type: CustomDomain, description: 'The domain.', resolve: (result) => result.customDomain }),
  }),
})

mutation(retryCertificate, {
  input: (t) => ({ customDomainId: t.id({ required: true, description: customDomainId }) }),
  payload: payloadOf('customDomain', CustomDomain, 'The domain.'),
})
