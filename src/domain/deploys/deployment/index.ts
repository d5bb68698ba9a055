/** How code gets online: a queue for each service, a pipeline of steps, and the way back. */
import { defineConcept } from '../../../platform/concept.ts'
import { jobSources } from '../../access/job/index.ts'
import { serviceConditions } from '../../apps/web-service/index.ts'
import { deploymentOverviews, deployProject, findDeploymentOfProject, listProjectDeployments } from './by-project.ts'
import { deploymentLogTails, findDeploymentOf, listPlannedEnv, sliceDeployments, tailServiceLog } from './by-service.ts'
import { cancelDeployment, deployWebService, rollbackDeployment } from './commands.ts'
import { conditions } from './conditions.ts'
import { constraints } from './constraints.ts'
import { environmentOverviews } from './environment-overview.ts'
import { publishEnvironmentStatus } from './environment-status.ts'
import { deploymentErrors } from './errors.ts'
import { allDeploymentEvents } from './events.ts'
import { deploymentJobs } from './job.ts'
import { deploymentQueue } from './jobs.ts'
import { findDeploymentLog } from './log.ts'
import { serviceOverviews } from './overview.ts'
import { sourcePort } from './ports.ts'
import { countDeployments, deploymentListing, findDeployment, listDeployments, planDeploy, planRollback } from './queries.ts'
import { reactions } from './reactions.ts'
import { sweepLeftovers } from './sweep.ts'

export { stopFormer } from './aside.ts'
export {
  type DeploymentOverview,
  deploymentOverviews,
  deployProject,
  findDeploymentOfProject,
  listProjectDeployments,
} from './by-project.ts'
export {
  deploymentLogTails,
  findDeploymentOf,
  listPlannedEnv,
  type PlannedVariable,
  sliceDeployments,
  tailServiceLog,
} from './by-service.ts'
export {
  cancelDeployment,
  cancelOfOperation,
  deployWebService,
  hasSource,
  type NewDeployment,
  queueDeployment,
  refSchema,
  rollbackDeployment,
  sameCommit,
} from './commands.ts'
export { type EnvironmentOverview, environmentOverviews } from './environment-overview.ts'
export { deploymentEvents } from './events.ts'
export { type KindRelease, kindReleases } from './kind-release.ts'
export { type Failure, phases } from './model.ts'
export { type ServiceOverview, serviceOverviews } from './overview.ts'
export { sourcePort } from './ports.ts'
export type { DeployPlan, EnvironmentStatus, RollbackPlan } from './queries.ts'
export { listDeployments, planDeploy, planRollback } from './queries.ts'
export { type Run, StepFailed } from './run.ts'
export { repinExtra } from './settings.ts'
export { LostDeployment } from './transition.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    Deployment: 'dep'
  }
}

export const deployment = defineConcept({
  name: 'deployment',
  idPrefixes: { Deployment: 'dep' },
  nodes: [deploymentListing],
  commands: [deployWebService, deployProject, cancelDeployment, rollbackDeployment],
  queries: [
    findDeployment,
    listDeployments,
    countDeployments,
    sliceDeployments,
    listProjectDeployments,
    findDeploymentOf,
    findDeploymentOfProject,
    deploymentOverviews,
    findDeploymentLog,
    deploymentLogTails,
    tailServiceLog,
    serviceOverviews,
    environmentOverviews,
    planDeploy,
    planRollback,
    listPlannedEnv,
  ],
  events: allDeploymentEvents,
  errors: [deploymentErrors],
  reactions,
  queues: [deploymentQueue],
  chores: [publishEnvironmentStatus, sweepLeftovers],
  ports: [sourcePort],
  extensions: [jobSources.with(deploymentJobs), serviceConditions.with(conditions)],
  constraints,
})
