import { defineErrors } from '../../../platform/errors.ts'

export const certificateErrors = defineErrors({
  tls_disabled: { kind: 'unprocessable', text: 'The router serves no TLS. The administrator must set ROUTER_TLS_PORT.' },
  acme_disabled: {
    kind: 'unprocessable',
    text: 'Certificates are not issued automatically. Upload one, or ask the administrator to set ACME_DIRECTORY_URL.',
  },
  domain_not_verified: { kind: 'unprocessable', text: 'The domain is not verified. Verify it first.' },
  certificate_uploaded: { kind: 'conflict', text: 'The domain has an uploaded certificate. Delete it first.' },
  certificate_automatic: {
    kind: 'conflict',
    text: 'The certificate of the domain is issued automatically. Upload one to replace it, or delete the domain.',
  },
})
