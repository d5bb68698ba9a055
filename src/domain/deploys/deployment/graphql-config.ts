/** What deployments add to the configuration's types: what is live, what would change, and the deployment that follows a write. */
import type { Deployment as DeploymentRow } from '../../../generated/prisma/client.ts'
import { builder, type GraphqlContext } from '../../../graphql/builder/index.ts'
import { demand } from '../../../platform/command.ts'
import { WebService } from '../../apps/web-service/graphql.ts'
import { envVarPayloads } from '../../configuration/env-var/graphql.ts'
import { ResolvedVariable, resolutionOf } from '../../configuration/resolution/graphql.ts'
import { liveEntriesByService, type Redaction as RedactionRow, redactionsByDeployment } from '../instance/index.ts'
import { Deployment, PlanChangeType } from './graphql.ts'
import { type DeployPlan as DeployPlanRow, planDeploy } from './queries.ts'
import { isChangedSince, isPending } from './variable-change.ts'

const liveEntries = (context: GraphqlContext, serviceId: string) =>
  context.load('WebService.liveEntries', serviceId, (ids: readonly string[]) => liveEntriesByService(context.app.db, ids))

builder.objectField(ResolvedVariable, 'changedSinceLive', (t) =>
  t.boolean({
    description: 'Whether the variable differs from the live deployment. False if no deployment is live.',
    resolve: async (variable, _args, context) => isChangedSince(await liveEntries(context, variable.webServiceId), variable),
  }),
)

builder.prismaObjectField(WebService, 'pendingConfig', (t) =>
  t.boolean({
    extensions: { cost: 20 },
    description:
      'Whether the next deployment would change a variable of the live deployment. See `deployPlan` for the changes. False if no deployment is live.',
    resolve: async (service, _args, context) => {
      demand(context.caller, 'view:secrets')
      const [live, resolution] = await Promise.all([liveEntries(context, service.id), resolutionOf(context, service.id)])
      return isPending(live, resolution)
    },
  }),
)

const DeployPlan = builder.objectRef<DeployPlanRow>('DeployPlan').implement({
  description:
    'Changes that the next deployment of a service would make. The commit is not included, because it is resolved when the deployment starts.',
  fields: (t) => ({
    webService: t.field({ type: WebService, description: 'The service to be deployed.', resolve: (plan) => plan.webService }),
    current: t.field({
      type: Deployment,
      nullable: true,
      description: 'Deployment that is currently live. Null if none is.',
      resolve: (plan) => plan.current,
    }),
    changes: t.field({ type: [PlanChangeType], description: 'Changes to settings and variables.', resolve: (plan) => plan.changes }),
    warnings: t.exposeStringList('warnings', { description: 'Warnings about the configuration, such as missing values.' }),
  }),
})

builder.queryField('deployPlan', (t) =>
  t.field({
    type: DeployPlan,
    nullable: true,
    extensions: { cost: 100 },
    description:
      'Changes that the next deployment of a service would make. Null if the service does not exist. Requires the permission `view:secrets`.',
    args: { webServiceId: t.arg.id({ required: true, description: 'ID of the service.' }) },
    resolve: (_root, args, context) => context.call(planDeploy, args),
  }),
)

const Redaction = builder.objectRef<RedactionRow>('Redaction').implement({
  description: 'Number of times that a value was redacted from logs.',
  fields: (t) => ({
    key: t.exposeString('key', {
      description: 'Name of the variable. `repository` stands for credentials of the repository, `platform` for credentials of Quayside.',
    }),
    count: t.exposeInt('count', { description: 'Number of redactions.' }),
  }),
})

builder.prismaObjectField(Deployment, 'redactions', (t) =>
  t.field({
    type: [Redaction],
    extensions: { rows: 10 },
    description:
      'Redactions in the log of the deployment and in the output of its instances, by variable. Requires the permission `view:secrets`.',
    resolve: (deployment, _args, context) => {
      demand(context.caller, 'view:secrets')
      return context.load('Deployment.redactions', deployment.id, (ids: readonly string[]) => redactionsByDeployment(context.app.db, ids))
    },
  }),
)

for (const payload of envVarPayloads) {
  builder.objectField(payload as (typeof envVarPayloads)[0], 'deployment', (t) =>
    t.field({
      type: Deployment,
      nullable: true,
      description: 'Deployment queued because of `deploy`. Null if `deploy` is false.',
      resolve: (result) => ((result as { deployment?: DeploymentRow }).deployment ?? null) as DeploymentRow | null,
    }),
  )
}
