import { builder, columnsOf, enumType, type GraphqlContext, idField, loadRows } from '../../../graphql/builder/index.ts'
import { Server } from '../../apps/server/graphql.ts'
import { WebService } from '../../apps/web-service/graphql.ts'
import { LogBatchType, loadLog, logCost } from '../log/graphql.ts'
import { runtimePort } from './ports.ts'
import { instancesByService, statusByService } from './queries.ts'
import { urlOf } from './url.ts'

export const RuntimeStatus = enumType('RuntimeStatus', 'Observed status of a service or an instance.', {
  STARTING: 'Starting, not yet healthy.',
  RUNNING: 'Running and healthy.',
  DEGRADED: 'Some instances are healthy, but fewer than required.',
  CRASHED: 'Crashed; a restart is scheduled.',
  STOPPING: 'Stopping.',
  STOPPED: 'Stopped.',
})

export const Sandbox = enumType('Sandbox', 'Isolation of builds and instances.', {
  BUBBLEWRAP: 'Isolated with bubblewrap, in separate namespaces.',
  NONE: 'Not isolated. Builds and instances run with the permissions of Quayside.',
})

/** The API names a sandbox as its driver does, in upper case. */
const sandboxOf = ({ app }: GraphqlContext) => runtimePort.use(app).sandbox.toUpperCase() as typeof Sandbox.$inferType

export const Instance = builder.prismaObject('Instance', {
  description: 'A running copy of a release.',
  select: { id: true },
  fields: (t) => ({
    id: t.id({ ...idField('Instance'), description: 'Globally unique ID of the instance, a TypeID.' }),
    status: t.expose('status', { type: RuntimeStatus, description: 'Observed status of the instance.' }),
    startedAt: t.expose('startedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when the process of the instance was last started. Null if it has not been started.',
    }),
    restarts: t.exposeInt('restarts', { description: 'Number of restarts after the instance exited unexpectedly.' }),
    lastExitCode: t.exposeInt('lastExitCode', {
      nullable: true,
      description: 'Exit code of the last unexpected exit. Null if there was none or the code is not known.',
    }),
    sandbox: t.field({
      type: Sandbox,
      description: 'Isolation of the instance.',
      resolve: (_instance, _args, context) => sandboxOf(context),
    }),
  }),
})

builder.prismaObjectField(Server, 'sandbox', (t) =>
  t.field({
    type: Sandbox,
    description: 'Isolation of builds and instances on this server.',
    resolve: (_server, _args, context) => sandboxOf(context),
  }),
)

builder.prismaObjectFields(WebService, (t) => ({
  status: t.field({
    type: RuntimeStatus,
    description: 'Observed status of the service. See `desiredState` for the desired state.',
    resolve: (service, _args, context) =>
      context.load('WebService.status', service.id, (ids: readonly string[]) => statusByService(context.app.db, ids)),
  }),
  instances: t.field({
    type: [Instance],
    extensions: { rows: 10 },
    description: 'Instances of the service, oldest first. Includes the instances of a deployment in progress and those that are stopping.',
    resolve: (service, _args, context, info) =>
      loadRows(context, 'WebService.instances', service.id, columnsOf(info, 'Instance'), instancesByService),
  }),
  url: t.string({
    nullable: true,
    description: 'URL at which visitors reach the service. Null for a worker.',
    select: { kind: true, slug: true },
    resolve: (service, _args, { app }) => urlOf(app, service),
  }),
  logs: t.field({
    type: LogBatchType,
    description:
      "Log of the service's instances. By default, it starts at the first line. A batch contains at most 1000 lines, or `tail` lines if given, and at most about 1 MiB. Pass its cursor as `after` to continue. `after` takes precedence over `tail` and `since`; of these two, the later start applies.",
    args: {
      after: t.arg.string({ description: 'Cursor of a previous batch. Return only the lines after it.' }),
      tail: t.arg.int({ description: 'Number of newest lines to return, from 0 to 10000.' }),
      since: t.arg({ type: 'DateTime', description: 'Start with the lines received at or after this time.' }),
    },
    extensions: logCost,
    select: { organizationId: true },
    resolve: ({ id, organizationId }, args, context) => loadLog(context, { organizationId, webServiceId: id, deploymentId: null }, args),
  }),
}))
