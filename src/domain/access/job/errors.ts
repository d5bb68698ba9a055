import { defineErrors } from '../../../platform/errors.ts'

export const jobErrors = defineErrors({
  job_not_retryable: { kind: 'unprocessable', text: 'The job cannot be retried.' },
})
