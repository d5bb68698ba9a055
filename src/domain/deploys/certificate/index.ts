/**
 * Certificates of custom domains: ordered from a certificate authority by ACME and renewed, or uploaded, and served by the router of every
 * process.
 */
import { defineConcept } from '../../../platform/concept.ts'
import { check, stamped } from '../../../platform/db/constraints.ts'
import { jobSources } from '../../access/job/index.ts'
import { deleteCertificate, retryCertificate, uploadCertificate } from './commands.ts'
import { certificateErrors } from './errors.ts'
import { allCertificateEvents } from './events.ts'
import { certificateJobs } from './job.ts'
import { accountKeyIdentity, orderKeyIdentity, privateKeyIdentity } from './model.ts'
import { certificateAuthority } from './ports.ts'
import { findCertificates } from './queries.ts'
import { certificateQueue, requestCertificates } from './queue.ts'
import { reactions } from './reactions.ts'
import { serveCertificates } from './serve.ts'

export { certificateAuthority } from './ports.ts'
export { type CertificateView, findCertificates } from './queries.ts'
export { findChallengeAnswer, openTlsPort } from './serve.ts'

export const certificate = defineConcept({
  name: 'certificate',
  commands: [uploadCertificate, deleteCertificate, retryCertificate],
  queries: [findCertificates],
  events: allCertificateEvents,
  errors: [certificateErrors],
  reactions,
  queues: [certificateQueue],
  chores: [requestCertificates, serveCertificates],
  ports: [certificateAuthority],
  extensions: [jobSources.with(certificateJobs)],
  sealed: [
    { table: 'certificate', key: 'id', column: 'private_key', identity: privateKeyIdentity },
    { table: 'certificate', key: 'id', column: 'order_key', identity: orderKeyIdentity },
    { table: 'acme_account', key: 'id', column: 'private_key', identity: accountKeyIdentity, of: 'installation' },
  ],
  constraints: [
    ...stamped('certificate'),
    check('certificate', 'served', '(chain IS NULL) = (private_key IS NULL) AND (chain IS NULL) = (expires_at IS NULL)'),
    check('certificate', 'active', "status <> 'ACTIVE' OR chain IS NOT NULL"),
    check('certificate', 'challenge', '(challenge_token IS NULL) = (challenge_answer IS NULL)'),
  ],
})
