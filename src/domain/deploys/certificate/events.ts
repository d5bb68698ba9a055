import { z } from 'zod'
import type { Certificate, CustomDomain } from '../../../generated/prisma/client.ts'
import { defineEvent } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'

const payload = z.object({
  customDomainId: z.string().describe('ID of the custom domain.'),
  webServiceId: z.string().describe('ID of the web service.'),
  domain: z.string().describe('Name of the domain.'),
  source: z.enum(['ACME', 'UPLOADED']).describe('Where the certificate comes from.'),
  expiresAt: z.string().nullable().describe('Expiry time of the certificate. Null if the domain has none yet.'),
  error: z.string().nullable().describe('Why the certificate could not be issued or renewed. Null otherwise.'),
  nextAttemptAt: z.string().nullable().describe('Time of the next attempt to issue or renew it. Null if there is none.'),
})

const sample = {
  customDomainId: 'dom_01h455vb4pex5vsknk084sn02q',
  webServiceId: 'svc_01h455vb4pex5vsknk084sn02q',
  domain: 'www.example.com',
  source: 'ACME' as const,
  expiresAt: '2026-12-01T08:30:00.000Z',
  error: null,
  nextAttemptAt: null,
}

const certificateEvent = (name: string, description: string, example: Partial<z.infer<typeof payload>> = {}) =>
  defineEvent({
    ...{ type: `certificate.${name}`, version: 1, description, subject: 'CustomDomain', schema: payload },
    sample: { ...sample, ...example },
  })

export const certificateEvents = {
  issued: certificateEvent('issued', 'The first certificate of a custom domain was issued.'),
  renewed: certificateEvent('renewed', 'The certificate of a custom domain was renewed.'),
  uploaded: certificateEvent('uploaded', 'A certificate was uploaded for a custom domain.', { source: 'UPLOADED' }),
  failing: certificateEvent(
    'failing',
    'A certificate could not be issued or renewed and is tried again, or an uploaded one must be replaced before it expires.',
    {
      error: 'The certificate authority could not verify the domain: 198.51.100.7: Connection refused',
      nextAttemptAt: '2026-11-02T08:45:00.000Z',
    },
  ),
  expired: certificateEvent('expired', 'The certificate of a custom domain expired. The domain is served over HTTP only.', {
    expiresAt: '2026-11-01T08:30:00.000Z',
  }),
  deleted: certificateEvent('deleted', 'The certificate of a custom domain was deleted.', { source: 'UPLOADED' }),
}

export const allCertificateEvents = Object.values(certificateEvents)

export type EventSubject = Pick<CustomDomain, 'id' | 'webServiceId' | 'projectId' | 'domain'>

export const certificateEventOf = (
  { id, webServiceId, projectId, domain }: EventSubject,
  { source, expiresAt, error, nextAttemptAt }: Pick<Certificate, 'source' | 'expiresAt' | 'error' | 'nextAttemptAt'>,
) => ({
  subjectId: id,
  projectId,
  data: {
    customDomainId: encodeId('CustomDomain', id),
    webServiceId: encodeId('WebService', webServiceId),
    ...{ domain, source, error },
    expiresAt: expiresAt?.toISOString() ?? null,
    nextAttemptAt: nextAttemptAt?.toISOString() ?? null,
  },
})
