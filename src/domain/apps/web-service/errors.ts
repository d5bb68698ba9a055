import { defineErrors } from '../../../platform/errors.ts'

export const webServiceErrors = defineErrors({
  kind_in_use: {
    kind: 'conflict',
    text: 'The kind of a service can be changed only while the service has no live deployment and none in progress.',
  },
  one_instance_only: { kind: 'conflict', text: 'A service with a disk runs one instance, and cannot be a static site.' },
  no_live_deployment: { kind: 'conflict', text: 'The service has no live deployment. Deploy it first.' },
})
