import type { Instance as InstanceRow } from '../../../generated/prisma/client.ts'
import { builder, enumType, type GraphqlContext } from '../../../graphql/builder/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { hostOf } from '../../apps/web-service/index.ts'
import { LogBatchType } from '../log/graphql.ts'
import type { SandboxKind } from './ports.ts'
import { routerPort, runtimePort } from './provided.ts'
import { instancesByService, statusByService } from './queries.ts'
import { readServiceLog } from './service-log.ts'
import '../../apps/server/graphql.ts'
import '../../apps/web-service/graphql.ts'

export const RuntimeStatus = enumType('RuntimeStatus', 'What is seen of a service or an instance.', {
  STARTING: 'On its way to being well.',
  RUNNING: 'Well.',
  DEGRADED: 'Some instances are well, not all that are wanted.',
  CRASHED: 'It ended by itself and is being started again.',
  STOPPING: 'On its way to its end.',
  STOPPED: 'Nothing runs.',
})

export const Sandbox = enumType('Sandbox', 'How builds and instances are confined.', {
  BUBBLEWRAP: 'In namespaces of their own, by bubblewrap.',
  NONE: 'Not at all: they run with the rights of the control plane.',
})

const sandboxes: Record<SandboxKind, 'BUBBLEWRAP' | 'NONE'> = { bubblewrap: 'BUBBLEWRAP', none: 'NONE' }
const sandboxOf = (context: GraphqlContext) => sandboxes[runtimePort.use(context.app).sandbox]

export const Instance = builder.objectRef<InstanceRow>('Instance').implement({
  description: 'A running copy of a release.',
  fields: (t) => ({
    id: t.id({ description: 'TypeID.', resolve: (instance) => encodeId('Instance', instance.id) }),
    status: t.expose('status', { type: RuntimeStatus, description: 'What is seen of it.' }),
    startedAt: t.expose('startedAt', { type: 'DateTime', nullable: true, description: 'When its process was started last.' }),
    restarts: t.exposeInt('restarts', { description: 'How often it was started again after it ended by itself.' }),
    lastExitCode: t.exposeInt('lastExitCode', { nullable: true, description: 'Of its last end by itself.' }),
    sandbox: t.field({ type: Sandbox, description: 'How it is confined.', resolve: (_instance, _args, context) => sandboxOf(context) }),
  }),
})

builder.prismaObjectField('Server', 'sandbox', (t) =>
  t.field({
    type: Sandbox,
    description: 'How builds and instances are confined there.',
    resolve: (_server, _args, context) => sandboxOf(context),
  }),
)

builder.prismaObjectFields('WebService', (t) => ({
  status: t.field({
    type: RuntimeStatus,
    description: 'What is seen of it; what is wanted stands in `desiredState`.',
    resolve: (service, _args, context) =>
      context.load('WebService.status', service.id, (ids: readonly string[]) => statusByService(context.app.db.prisma, ids)),
  }),
  instances: t.field({
    type: [Instance],
    description: 'Its instances, oldest first; those of a running deployment and those that are ending, too.',
    resolve: (service, _args, context) =>
      context.load('WebService.instances', service.id, (ids: readonly string[]) => instancesByService(context.app.db.prisma, ids)),
  }),
  url: t.string({
    nullable: true,
    description: 'Where it answers; null for a worker.',
    resolve: (service, _args, { app }) =>
      service.kind === 'WORKER' ? null : `http://${hostOf(service, app.settings.ROUTER_DOMAIN)}:${routerPort.use(app).port}`,
  }),
  logs: t.field({
    type: LogBatchType,
    description: 'What its instances printed, oldest first. `after` beats `tail` and `since`.',
    args: {
      after: t.arg.string({ description: 'A cursor of this log: what follows it.' }),
      tail: t.arg.int({ description: 'The last so many lines, at most 10000.' }),
      since: t.arg({ type: 'DateTime', description: 'Lines from then on.' }),
    },
    resolve: (service, args, context) => readServiceLog(context, service, args),
  }),
}))
