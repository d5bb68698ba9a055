import { defineErrors } from '../../../platform/errors.ts'

export const deploymentErrors = defineErrors({
  repository_missing: { kind: 'unprocessable', text: 'The service has no repository. Set repositoryUrl first.' },
  image_not_supported: {
    kind: 'unprocessable',
    text: 'The source of the service is a container image. Images cannot be deployed yet: make a git repository its source.',
  },
  service_required: { kind: 'unprocessable', text: 'The project has no service, or several: name the one to deploy.' },
  deployment_in_progress: {
    kind: 'conflict',
    text: 'Another deployment of this service is still in progress. Wait for it to end, or cancel it.',
  },
  deployment_not_cancellable: {
    kind: 'conflict',
    text: 'The deployment has ended or is switching traffic. Roll back to return to an earlier deployment.',
  },
  rollback_not_eligible: { kind: 'conflict', text: 'This deployment cannot be rolled back to. See rollbackPlan for the reasons.' },
})
