import { defineErrors } from '../../../platform/errors.ts'

export const deploymentErrors = defineErrors({
  repository_missing: { kind: 'unprocessable', text: 'The service has no repository. Set repositoryUrl first.' },
  deployment_in_progress: { kind: 'conflict', text: 'Another deployment of this service has not ended yet.' },
  deployment_not_cancellable: { kind: 'conflict', text: 'The deployment has ended or is moving traffic. Use a rollback to go back.' },
  rollback_not_eligible: { kind: 'conflict', text: 'There is no going back to this deployment.' },
})
