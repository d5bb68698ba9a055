import { defineErrors } from '../../../platform/errors.ts'

export const messageErrors = defineErrors({
  webhook_payload_removed: {
    kind: 'conflict',
    text: 'The payload of this message was removed, by its age or by hand: it can no longer be sent.',
  },
})
