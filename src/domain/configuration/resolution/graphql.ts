import { builder, enumType, type GraphqlContext, makeRoom, mutation } from '../../../graphql/builder/index.ts'
import { demand } from '../../../platform/command.ts'
import { encodeId, type IdType } from '../../../platform/id.ts'
import { EnvironmentType } from '../../apps/project/graphql.ts'
import { WebService } from '../../apps/web-service/graphql.ts'
import { revealedValuesField, texts } from '../variable/graphql.ts'
import { mask } from '../variable/index.ts'
import { revealResolvedEnv } from './commands.ts'
import { openValue, resolutionBytes, resolveServices } from './read.ts'
import type { Resolution, Source, SourceKind, Variable } from './resolve.ts'

const VariableSourceKind = enumType(
  'VariableSourceKind',
  'Kind of source that a variable comes from. Order of precedence, highest first: `ENV_VAR`, `SECRET_BINDING`, `RESOURCE_CONNECTION`, `PLATFORM_DEFAULT`.',
  {
    ENV_VAR: 'Environment variable of the service.',
    SECRET_BINDING: 'Project secret that is bound to the service.',
    RESOURCE_CONNECTION: 'Connection to a managed resource.',
    PLATFORM_DEFAULT: 'Default variable set by Quayside.',
  },
)

const idTypes: Record<Exclude<SourceKind, 'PLATFORM_DEFAULT'>, IdType> = {
  ENV_VAR: 'EnvVar',
  SECRET_BINDING: 'Secret',
  RESOURCE_CONNECTION: 'ResourceBinding',
}

const VariableSource = builder.objectRef<Source>('VariableSource').implement({
  description: 'Source of a variable.',
  fields: (t) => ({
    kind: t.expose('kind', { type: VariableSourceKind, description: 'Kind of the source.' }),
    id: t.id({
      nullable: true,
      description: 'ID of the environment variable, secret or resource binding. Null for defaults of Quayside.',
      resolve: ({ kind, id }) => (id && kind !== 'PLATFORM_DEFAULT' ? encodeId(idTypes[kind], id) : null),
    }),
    scope: t.expose('scope', { type: EnvironmentType, nullable: true, description: 'Scope of the secret. Null for other sources.' }),
    version: t.exposeInt('version', {
      nullable: true,
      description:
        'Version of the secret, of the environment variable, or of the credentials of a connected resource. Null for other sources.',
    }),
  }),
})

const ShadowedVariable = builder.objectRef<Variable['shadowed'][number]>('ShadowedVariable').implement({
  description: 'A source whose value is hidden by a source with higher precedence.',
  fields: (t) => ({
    source: t.field({ type: VariableSource, description: 'The hidden source.', resolve: (item) => item.source }),
    reason: t.exposeString('reason', {
      description: 'Reason that the source is hidden: `reserved`, `env_var_wins`, `secret_binding_wins` or `connection_wins`.',
    }),
  }),
})

/** A variable of one service. */
export type ResolvedVariableShape = Variable & { webServiceId: string; organizationId: string }

const opened = ({ app }: GraphqlContext, { organizationId, value }: ResolvedVariableShape) =>
  openValue({ app, tx: app.db }, organizationId, value)

export const ResolvedVariable = builder.objectRef<ResolvedVariableShape>('ResolvedVariable').implement({
  description: 'A variable that the next deployment gives to a service, and where its value comes from.',
  fields: (t) => ({
    key: t.exposeString('key', { description: 'Name of the variable.' }),
    value: t.string({
      nullable: true,
      description: 'Value of the variable. Null if the variable is secret or differs for each instance.',
      resolve: (item, _args, context) => (item.isSecret || item.isReserved ? null : opened(context, item)),
    }),
    maskedValue: t.string({
      description: `Value of the variable, or \`${mask}\` if the variable is secret or differs for each instance.`,
      resolve: (item, _args, context) => (item.isSecret || item.isReserved ? mask : opened(context, item)),
    }),
    fingerprint: t.exposeString('fingerprint', {
      description: `${texts.fingerprint} Empty if the value differs for each instance.`,
    }),
    isSecret: t.exposeBoolean('isSecret', { description: texts.isSecret }),
    buildTime: t.exposeBoolean('buildTime', { description: 'Whether the variable is set during builds.' }),
    runTime: t.exposeBoolean('runTime', { description: 'Whether the variable is set for instances and for the release command.' }),
    source: t.field({ type: VariableSource, description: 'Source of the value.', resolve: (item) => item.source }),
    isFallback: t.exposeBoolean('isFallback', { description: 'Whether the value comes from a scope other than that of the environment.' }),
    requestedScope: t.expose('requestedScope', {
      type: EnvironmentType,
      description: "Type of the service's environment, which is the scope that is tried first.",
    }),
    alias: t.exposeString('alias', { nullable: true, description: 'Alias of the secret binding. Null for other sources.' }),
    shadowed: t.field({ type: [ShadowedVariable], description: 'Sources that are hidden by this one.', resolve: (item) => item.shadowed }),
    changedAt: t.expose('changedAt', {
      type: 'DateTime',
      description:
        'Time when the value was written or the secret was bound. For defaults of Quayside, the time when the service was created.',
    }),
    changedBy: t.exposeString('changedBy', {
      nullable: true,
      description: 'Name of the user or API key that made the change. Null for defaults of Quayside.',
    }),
    warnings: t.exposeStringList('warnings', { description: 'Warnings about the variable.' }),
  }),
})

/** The resolution of a service, read together for all services of the operation. */
export const resolutionOf = (context: GraphqlContext, serviceId: string): Promise<Resolution> =>
  context.load('WebService.resolution', serviceId, async (ids: readonly string[]) => {
    await makeRoom(context, resolutionBytes(ids))
    const resolved = await resolveServices({ app: context.app, tx: context.app.db }, ids)
    return ids.map((id) => resolved.get(id)!)
  })

builder.prismaObjectFields(WebService, (t) => ({
  resolvedEnv: t.field({
    type: [ResolvedVariable],
    extensions: { rows: 50 },
    description:
      'All variables that the next deployment gives to the service, sorted by key, with their sources. Requires the permission `view:secrets`.',
    select: { organizationId: true },
    resolve: async (service, _args, context) => {
      demand(context.caller, 'view:secrets')
      const { variables } = await resolutionOf(context, service.id)
      return variables.map((variable) => ({ ...variable, webServiceId: service.id, organizationId: service.organizationId }))
    },
  }),
  configWarnings: t.stringList({
    extensions: { cost: 20 },
    description:
      'Warnings about secret bindings without a value. The next deployment omits these variables, or fails if the fallback mode is `STRICT`.',
    resolve: async (service, _args, context) => {
      demand(context.caller, 'view:secrets')
      const { unresolved, warnings } = await resolutionOf(context, service.id)
      return [...unresolved.map(({ message }) => message), ...warnings]
    },
  }),
}))

mutation(revealResolvedEnv, {
  input: (t) => ({ webServiceId: t.id({ required: true, description: 'ID of the service.' }) }),
  payload: (t) => ({ values: revealedValuesField(t) }),
})
