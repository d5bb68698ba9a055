import { defineErrors } from '../../../platform/errors.ts'
import { maxEndpoints, maxLiveKeys } from './model.ts'

export const endpointErrors = defineErrors({
  webhook_endpoint_limit: { kind: 'unprocessable', text: `An organization can have at most ${maxEndpoints} webhook endpoints.` },
  webhook_key_limit: { kind: 'conflict', text: `An endpoint can have at most ${maxLiveKeys} live keys.` },
  webhook_endpoint_disabled: { kind: 'conflict', text: 'The endpoint is disabled. Enable it first.' },
})
