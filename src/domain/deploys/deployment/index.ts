/** How code gets online: a queue for each service, a pipeline of steps, and the way back. */
import './reactions.ts'

export {
  deploymentLogTails,
  findDeploymentOf,
  listPlannedEnv,
  type PlannedVariable,
  sliceDeployments,
  tailServiceLog,
} from './by-service.ts'
export { cancelDeployment, deployWebService, rollbackDeployment } from './commands.ts'
export { deploymentErrors } from './errors.ts'
export { deploymentEvents } from './events.ts'
export { findDeploymentLog } from './log.ts'
export { type ServiceOverview, serviceOverviews } from './overview.ts'
export { sourcePort } from './ports.ts'
export type { DeployPlan, EnvironmentStatus, RollbackPlan } from './queries.ts'
export {
  countDeployments,
  currentByService,
  deploymentListing,
  findDeployment,
  listDeployments,
  planDeploy,
  planRollback,
  statusByEnvironment,
  stepsByDeployment,
} from './queries.ts'
export { LostDeployment } from './transition.ts'
