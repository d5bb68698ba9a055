import { defineErrors } from '../../../platform/errors.ts'

export const speedTestErrors = defineErrors({
  speed_test_in_progress: { kind: 'conflict', text: 'Another speed test of this Odoo account is in progress. Retry when it has ended.' },
})
