/** Actions on an environment as a whole, one at a time: deploy, redeploy, start, stop or restart its services, followed as one operation. */
import { defineConcept } from '../../../platform/concept.ts'
import { operationTypes } from '../../access/operation/index.ts'
import { runEnvironmentAction } from './commands.ts'
import { environmentActionErrors } from './errors.ts'
import { actionOperation } from './operation.ts'
import { findEnvironmentHealth, findTask, listTaskDeployments, sliceTasks } from './tasks.ts'

export { runEnvironmentAction } from './commands.ts'
export type { ModuleUpdateMode, ModuleUpdateRequest } from './model.ts'
export {
  type EnvironmentHealth,
  type EnvironmentTask,
  findEnvironmentHealth,
  findTask,
  listTaskDeployments,
  sliceTasks,
  type TaskDeployment,
} from './tasks.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    /** An operation of an action, or a deployment that is part of none, for doors that have one noun for both. */
    Task: 'task'
  }
}

export const environmentAction = defineConcept({
  name: 'environment-action',
  idPrefixes: { Task: 'task' },
  commands: [runEnvironmentAction],
  queries: [findTask, sliceTasks, listTaskDeployments, findEnvironmentHealth],
  errors: [environmentActionErrors],
  extensions: [operationTypes.with(actionOperation)],
})
