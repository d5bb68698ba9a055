import { defineErrors } from '../../../platform/errors.ts'

export const webServiceErrors = defineErrors({
  no_live_deployment: { kind: 'conflict', text: 'The service has no live deployment. Deploy it first.' },
})
