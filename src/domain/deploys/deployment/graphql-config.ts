/** What deployments add to the configuration's types: what is live, what would change, and the deployment that follows a write. */
import type { Deployment as DeploymentRow } from '../../../generated/prisma/client.ts'
import { builder, type GraphqlContext } from '../../../graphql/builder/index.ts'
import { demand } from '../../../platform/command.ts'
import { WebService } from '../../apps/web-service/graphql.ts'
import { envVarPayloads } from '../../configuration/env-var/graphql.ts'
import { ResolvedVariable, resolutionOf } from '../../configuration/resolution/graphql.ts'
import { liveEntriesByService, type Redaction as RedactionRow, redactionsByDeployment } from '../instance/index.ts'
import { isChangedSince, isPending } from './configuration.ts'
import { Deployment, PlanChangeType } from './graphql.ts'
import { type DeployPlan as DeployPlanRow, planDeploy } from './queries.ts'

const liveEntries = (context: GraphqlContext, serviceId: string) =>
  context.load('WebService.liveEntries', serviceId, (ids: readonly string[]) => liveEntriesByService(context.app.db.prisma, ids))

builder.objectField(ResolvedVariable, 'changedSinceLive', (t) =>
  t.boolean({
    description: 'Whether the live deployment has another value, or none; false where nothing is live.',
    resolve: async (variable, _args, context) => isChangedSince(await liveEntries(context, variable.webServiceId), variable),
  }),
)

builder.prismaObjectField('WebService', 'pendingConfig', (t) =>
  t.boolean({
    description: 'Whether the next deployment would change a variable of what is live; `deployPlan` says which.',
    resolve: async (service, _args, context) => {
      demand(context.caller, 'view:secrets')
      const [live, resolution] = await Promise.all([liveEntries(context, service.id), resolutionOf(context, service.id)])
      return isPending(live, resolution)
    },
  }),
)

const DeployPlan = builder.objectRef<DeployPlanRow>('DeployPlan').implement({
  description: 'What the next deployment of a service would change beside its commit, which is looked up only then.',
  fields: (t) => ({
    webService: t.field({ type: WebService, description: 'The service.', resolve: (plan) => plan.webService }),
    current: t.field({ type: Deployment, nullable: true, description: 'The live one.', resolve: (plan) => plan.current }),
    changes: t.field({ type: [PlanChangeType], description: 'What would be different.', resolve: (plan) => plan.changes }),
    warnings: t.exposeStringList('warnings', { description: 'What to know before.' }),
  }),
})

builder.queryField('deployPlan', (t) =>
  t.field({
    type: DeployPlan,
    description: 'What the next deployment of a service would change.',
    args: { webServiceId: t.arg.id({ required: true, description: 'The service.' }) },
    resolve: (_root, args, context) => context.call(planDeploy, args),
  }),
)

const Redaction = builder.objectRef<RedactionRow>('Redaction').implement({
  description: 'How often a value was taken out of logs.',
  fields: (t) => ({
    key: t.exposeString('key', { description: 'The variable; `repository` and `platform` for credentials of those.' }),
    count: t.exposeInt('count', { description: 'So many times.' }),
  }),
})

builder.prismaObjectField('Deployment', 'redactions', (t) =>
  t.field({
    type: [Redaction],
    description: 'What was taken out of its log and of what its instances print, by key.',
    resolve: (deployment, _args, context) => {
      demand(context.caller, 'view:secrets')
      return context.load('Deployment.redactions', deployment.id, (ids: readonly string[]) =>
        redactionsByDeployment(context.app.db.prisma, ids),
      )
    },
  }),
)

for (const payload of envVarPayloads) {
  builder.objectField(payload as (typeof envVarPayloads)[0], 'deployment', (t) =>
    t.field({
      type: Deployment,
      nullable: true,
      description: 'The deployment that was asked for.',
      resolve: (result) => ((result as { deployment?: DeploymentRow }).deployment ?? null) as DeploymentRow | null,
    }),
  )
}
