import { enumType } from '../../../graphql/builder/index.ts'

export const ResourceStatus = enumType('ResourceStatus', 'Observed state of a managed resource.', {
  CREATING: 'Being created. It has not run yet.',
  RUNNING: 'Running and answering requests.',
  STARTING: 'Starting.',
  STOPPING: 'Stopping.',
  STOPPED: 'Stopped. Its data is kept.',
  FAILED: 'Could not be started, or exited unexpectedly. See `statusMessage`. It is started again automatically.',
  DELETING: 'Being deleted.',
})
