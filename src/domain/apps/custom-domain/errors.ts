import { defineErrors } from '../../../platform/errors.ts'

export const customDomainErrors = defineErrors({
  domain_taken: { kind: 'conflict', text: 'The domain is in use. It can be added again when its owner has removed it.' },
  custom_domain_not_verified: { kind: 'unprocessable', text: 'The domain is not verified. Publish its TXT record first.' },
  custom_domain_limit: { kind: 'unprocessable', text: 'The service has reached the maximum number of custom domains.' },
  custom_domain_unsupported: { kind: 'unprocessable', text: 'A worker is not reachable over HTTP and cannot have a domain.' },
})
