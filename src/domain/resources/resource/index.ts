/**
 * Managed resources of an environment or of the organization: what all kinds share. A kind that runs as servers declares how they are handled (`Supervised`) and
 * gets a chore that keeps them as desired, and the commands that say what is desired.
 */
import { defineConcept } from '../../../platform/concept.ts'
import { check } from '../../../platform/db/constraints.ts'
import { sql } from '../../../platform/db/index.ts'
import { keptEnvironments } from '../../apps/environment/index.ts'
import { resourceErrors } from './errors.ts'

export { resourceErrors } from './errors.ts'
export { lifecycleEvents, namedFields } from './events.ts'
export { deletionHolds, followers, letFollow, lifecycleCommands, lockResource, markDeleted } from './lifecycle.ts'
export {
  type Observed,
  planResource,
  removalHolds,
  type Supervised,
  type SupervisedRow,
  startHolds,
  statusOnceDesired,
  supervisedKinds,
} from './model.ts'
export { choosePort, insertResource, removeResource, resourceTopic, takenPorts } from './store.ts'
export { adoptResources, settleResources, superviseResources } from './supervise.ts'
export { createUsageReader, type ServerUse } from './usage.ts'

export const resource = defineConcept({
  name: 'resource',
  errors: [resourceErrors],
  constraints: [check('resource', 'environment', '(project_id IS NULL) = (environment_id IS NULL)')],
  extensions: [keptEnvironments.with(sql`exists (select 1 from resource r where r.environment_id = e.id)`)],
})
