import { builder, enumType, type GraphqlContext, mutation } from '../../../graphql/builder/index.ts'
import { demand } from '../../../platform/command.ts'
import { encodeId } from '../../../platform/id.ts'
import { EnvironmentType } from '../../apps/project/graphql.ts'
import '../../apps/web-service/graphql.ts'
import { RevealedValue } from '../env-var/graphql.ts'
import { mask } from '../env-var/index.ts'
import { revealResolvedEnv } from './commands.ts'
import { openValue, resolveServices } from './read.ts'
import type { Resolution, Source, Variable } from './resolve.ts'

const VariableSourceKind = enumType('VariableSourceKind', 'What gives a variable; the first of these wins.', {
  ENV_VAR: "The service's own.",
  SECRET_BINDING: 'A bound secret of the project.',
  RESOURCE_CONNECTION: 'A managed resource that is connected.',
  PLATFORM_DEFAULT: 'Quayside itself.',
})

const VariableSource = builder.objectRef<Source>('VariableSource').implement({
  description: 'Where a variable comes from.',
  fields: (t) => ({
    kind: t.expose('kind', { type: VariableSourceKind, description: 'What sort of source.' }),
    id: t.id({
      nullable: true,
      description: 'The env var, secret or connection.',
      resolve: ({ kind, id }) =>
        id && (kind === 'ENV_VAR' ? encodeId('EnvVar', id) : kind === 'SECRET_BINDING' ? encodeId('Secret', id) : id),
    }),
    scope: t.expose('scope', { type: EnvironmentType, nullable: true, description: "Of a secret: its row's scope." }),
    version: t.exposeInt('version', { nullable: true, description: 'Of a secret: its version; of an env var: that of its row.' }),
  }),
})

const ShadowedVariable = builder.objectRef<Variable['shadowed'][number]>('ShadowedVariable').implement({
  description: 'Something that would give a variable if nothing higher did.',
  fields: (t) => ({
    source: t.field({ type: VariableSource, description: 'Where it would come from.', resolve: (item) => item.source }),
    reason: t.exposeString('reason', {
      description: '`reserved`, `env_var_wins`, `secret_binding_wins` or `connection_wins`.',
    }),
  }),
})

/** A variable of one service. */
export type ResolvedVariableShape = Variable & { webServiceId: string; organizationId: string }

const opened = ({ app }: GraphqlContext, { organizationId, value }: ResolvedVariableShape) =>
  openValue({ app, tx: app.db.prisma }, organizationId, value)

export const ResolvedVariable = builder.objectRef<ResolvedVariableShape>('ResolvedVariable').implement({
  description: 'A variable that the next deployment gives to a service, and why it is that one.',
  fields: (t) => ({
    key: t.exposeString('key', { description: 'Its name.' }),
    value: t.string({
      nullable: true,
      description: 'Its value; null when it is secret, or different for each instance.',
      resolve: (item, _args, context) => (item.isSecret || item.isReserved ? null : opened(context, item)),
    }),
    maskedValue: t.string({
      description: `Its value, or \`${mask}\` when it is secret or different for each instance.`,
      resolve: (item, _args, context) => (item.isSecret || item.isReserved ? mask : opened(context, item)),
    }),
    fingerprint: t.exposeString('fingerprint', {
      description: 'Alike for equal values of the organization; empty when different for each instance.',
    }),
    isSecret: t.exposeBoolean('isSecret', { description: 'Whether its value is shown only by a reveal.' }),
    buildTime: t.exposeBoolean('buildTime', { description: 'Whether builds get it.' }),
    runTime: t.exposeBoolean('runTime', { description: 'Whether instances and the release command get it.' }),
    source: t.field({ type: VariableSource, description: 'Where it comes from.', resolve: (item) => item.source }),
    isFallback: t.exposeBoolean('isFallback', { description: "Whether it comes from another scope than the environment's own." }),
    requestedScope: t.expose('requestedScope', { type: EnvironmentType, description: 'The type of the environment.' }),
    alias: t.exposeString('alias', { nullable: true, description: "The binding's alias." }),
    shadowed: t.field({ type: [ShadowedVariable], description: 'What it wins over.', resolve: (item) => item.shadowed }),
    changedAt: t.expose('changedAt', {
      type: 'DateTime',
      description: 'When it was written or bound; of what Quayside gives, when the service was made.',
    }),
    changedBy: t.exposeString('changedBy', { nullable: true, description: 'By whom.' }),
    warnings: t.exposeStringList('warnings', { description: 'What to know of it.' }),
  }),
})

/** A service's resolution, one reading for all services of a level. */
export const resolutionOf = (context: GraphqlContext, serviceId: string): Promise<Resolution> =>
  context.load('WebService.resolution', serviceId, async (ids: readonly string[]) => {
    const resolved = await resolveServices({ app: context.app, tx: context.app.db.prisma }, ids)
    return ids.map((id) => resolved.get(id)!)
  })

builder.prismaObjectFields('WebService', (t) => ({
  resolvedEnv: t.field({
    type: [ResolvedVariable],
    description: 'All that the next deployment gives to it, by key, and where it comes from.',
    resolve: async (service, _args, context) => {
      demand(context.caller, 'view:secrets')
      const { variables } = await resolutionOf(context, service.id)
      return variables.map((variable) => ({ ...variable, webServiceId: service.id, organizationId: service.organizationId }))
    },
  }),
  configWarnings: t.stringList({
    description: 'Bindings that have no value: left out of the next deployment, or a reason for it to fail.',
    resolve: async (service, _args, context) => {
      demand(context.caller, 'view:secrets')
      const { unresolved, warnings } = await resolutionOf(context, service.id)
      return [...unresolved.map(({ message }) => message), ...warnings]
    },
  }),
}))

mutation(revealResolvedEnv, {
  input: (t) => ({ webServiceId: t.id({ required: true, description: 'The service.' }) }),
  payload: (t) => ({
    values: t.field({
      type: [RevealedValue],
      nullable: true,
      description: 'All values by key: here once, null when an idempotent answer is repeated.',
      resolve: (result) => result.values,
    }),
  }),
})
