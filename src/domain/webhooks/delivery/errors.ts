import { defineErrors } from '../../../platform/errors.ts'

export const deliveryErrors = defineErrors({
  webhook_payload_removed: {
    kind: 'conflict',
    text: 'The payload has expired or was expunged, so the message can no longer be sent.',
  },
})
