/**
 * Running copies of a release: started by a deployment, then kept as the service wants them. What is wanted is written
 * elsewhere (`desiredState`, `generation`, the live deployment); this room makes it real and says what it sees.
 */
import { defineConcept } from '../../../platform/concept.ts'
import { serviceConditions } from '../../apps/web-service/index.ts'
import { variableSources } from '../../configuration/resolution/index.ts'
import { conditions } from './conditions.ts'
import { constraints } from './constraints.ts'
import { defaultVariables } from './default-variables.ts'
import { webServiceCrashed, webServiceRecovered } from './events.ts'
import { readInstanceOutput, readLoudInstances } from './output.ts'
import { routerPort, routerProbePort, runtimePort } from './ports.ts'
import { reactions } from './reactions.ts'
import { reconcileInstances } from './reconcile.ts'
import { expireReleases } from './release.ts'
import { keepRoutes, noteLoad } from './route.ts'
import { findServiceLog } from './service-log.ts'
import { sealedSnapshot } from './snapshot.ts'

export { isAlone, isAside, standAside, untilAlone } from './aside.ts'
export { routeChange } from './constraints.ts'
export { deploymentKeys } from './default-variables.ts'
export { activeStatuses, advancingStatuses, deployedStatuses, unfinishedStatuses, usingReleaseStatuses } from './deployment-status.ts'
export {
  environmentChangesAtOnce,
  environmentOf,
  environmentTopic,
  forgetEnvironmentChanges,
  noteEnvironments,
  readEnvironmentChanges,
} from './environment-change.ts'
export { webServiceCrashed } from './events.ts'
export { type Check, checkHealth, type HealthResult, nameOfCheck } from './health.ts'
export { type KindExtension, kindExtensions, kindOf } from './kind.ts'
export { lastOutput } from './last-words.ts'
export { addInstances, instancesOf, type LaunchFacts, launchFacts, markStarted, resetLoad, routeTo, startInstance } from './launch.ts'
export { heldInstances, heldTopic } from './output.ts'
export { platformCredentials } from './platform-credential.ts'
export {
  type HostCertificate,
  type PathRule,
  type Places,
  type Runtime,
  routerPort,
  routerProbePort,
  runtimePort,
  type SourceTree,
  type SourceWriter,
  type SuppliedPlan,
  type SuppliedTool,
} from './ports.ts'
export { settleReconciler } from './reconcile.ts'
export { countRedactions, type Redaction, redactionsByDeployment, secretValuesOf } from './redaction.ts'
export { recordRelease } from './release.ts'
export { keepRoutes, openRouter } from './route.ts'
export { leaveRouter, untilRouted } from './router-port.ts'
export { findServiceLog } from './service-log.ts'
export {
  liveEntriesByService,
  openValues,
  readSnapshot,
  type Snapshot,
  type SnapshotEntry,
  saveSnapshot,
  type UnopenedEntry,
} from './snapshot.ts'
export { urlOf } from './url.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    Instance: 'inst'
  }
}

export const instance = defineConcept({
  name: 'instance',
  idPrefixes: { Instance: 'inst' },
  queries: [findServiceLog],
  events: [webServiceCrashed, webServiceRecovered],
  reactions,
  chores: [keepRoutes, noteLoad, reconcileInstances, readInstanceOutput, readLoudInstances, expireReleases],
  sealed: [sealedSnapshot],
  ports: [runtimePort, routerPort, routerProbePort],
  extensions: [variableSources.with(defaultVariables), serviceConditions.with(conditions)],
  constraints,
})
