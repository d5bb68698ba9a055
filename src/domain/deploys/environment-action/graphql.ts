import { builder, connectionOf, enumType, mutation, nestedConnection, payloadOf } from '../../../graphql/builder/index.ts'
import { Operation } from '../../access/operation/graphql.ts'
import { operationListing } from '../../access/operation/index.ts'
import { Environment } from '../../apps/environment/graphql.ts'
import { runEnvironmentAction } from './commands.ts'
import { operationName, type StoredInput } from './model.ts'

const EnvironmentAction = enumType('EnvironmentAction', 'Action on all web services of an environment.', {
  DEPLOY:
    'Deploy the newest commit of the branch of each service, or the given branch, tag or commit. Leaves out services without a repository.',
  REDEPLOY:
    'Build and deploy the commit of the live deployment of each service again, with the current configuration. Without a live deployment, the commit of the newest deployment is used. Leaves out services without a repository.',
  START: 'Start the services with their live releases. Leaves out services without a live deployment.',
  STOP: 'Stop the services.',
  RESTART:
    'Restart the services. New instances are started before the old ones are stopped, unless a service has a disk. Leaves out services without a live deployment.',
  UPDATE_MODULES:
    'Deploy the newest commit of the branch of each Odoo service, and update modules as `mode` says. Leaves out other services. Fails with `no_odoo_service` if there is no Odoo service.',
})

const ModuleUpdateMode = enumType('ModuleUpdateMode', 'How modules of an Odoo service are updated.', {
  PULL_RESTART: 'Update no module, whatever has changed.',
  UPDATE_ALL: 'Update all installed modules.',
  UPDATE_SPECIFIC: 'Update the given modules, which must be installed.',
  REINITIALIZE_SPECIFIC: 'Install the given modules, also if they are installed already.',
})

builder.prismaObjectField(Operation, 'action', (t) =>
  t.field({
    type: EnvironmentAction,
    nullable: true,
    description: 'Action that the operation runs on its environment. Null for operations of other mutations.',
    select: { type: true, input: true },
    resolve: ({ type, input }) => (type === operationName ? (input as StoredInput).action : null),
  }),
)

nestedConnection(Environment, 'operations', connectionOf(Operation, operationListing), {
  by: 'subjectId',
  description: 'Operations that ran or run an action on the environment, newest first.',
})

mutation(runEnvironmentAction, {
  input: (t) => ({
    environmentId: t.id({ required: true, description: 'ID of the environment.' }),
    action: t.field({ type: EnvironmentAction, required: true, description: 'Action to run.' }),
    branch: t.string({ description: 'With `DEPLOY`: branch to deploy. Defaults to the branch of each service.' }),
    commit: t.string({
      description:
        'With `DEPLOY`: hash, possibly abbreviated, or tag of the commit to deploy. Defaults to the latest commit of the branch.',
    }),
    updateModules: t.boolean({
      description:
        'With `DEPLOY` and `REDEPLOY`: whether all installed modules of Odoo services are updated. By default, those are updated whose files have changed. Has no effect on other services.',
    }),
    mode: t.field({ type: ModuleUpdateMode, description: 'With `UPDATE_MODULES`, required: how modules are updated.' }),
    modules: t.stringList({ description: 'With `UPDATE_MODULES`: technical names of the modules.' }),
  }),
  payload: payloadOf('operation', Operation, 'The operation that follows the action.'),
})
