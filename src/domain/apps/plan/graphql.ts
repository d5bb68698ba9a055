import { builder, enumType } from '../../../graphql/builder/index.ts'
import type { Plan as PlanRow } from './model.ts'
import { listPlans } from './queries.ts'

export const PlanServiceType = enumType('PlanServiceType', 'What a plan is for.', {
  WEB_SERVICE: 'Web services.',
  POSTGRESQL: 'Managed PostgreSQL databases.',
  REDIS: 'Managed Redis instances.',
})

const unless = 'Null means it is not limited.'

export const Plan = builder.objectRef<PlanRow>('Plan').implement({
  description: 'A named size of something that can be created, with the limits that this installation enforces. Plans cost nothing.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'ID of the plan, a UUID. It never changes.' }),
    serviceType: t.expose('serviceType', { type: PlanServiceType, description: 'What the plan is for.' }),
    slug: t.exposeString('slug', { description: 'Slug of the plan. Unique within its service type.' }),
    name: t.exposeString('name', { description: 'Name of the plan.' }),
    cpuLimit: t.exposeFloat('cpuLimit', { nullable: true, description: `Maximum number of CPU cores in use. ${unless}` }),
    memoryLimitBytes: t.exposeFloat('memoryLimitBytes', {
      nullable: true,
      description: `Maximum memory in bytes; of a Redis instance, for data. ${unless}`,
    }),
    storageLimitBytes: t.exposeFloat('storageLimitBytes', { nullable: true, description: `Maximum size on disk in bytes. ${unless}` }),
    maxConnections: t.exposeInt('maxConnections', {
      nullable: true,
      description: 'Maximum number of concurrent connections to a database. Null for other services.',
    }),
  }),
})

builder.queryField('plans', (t) =>
  t.field({
    type: [Plan],
    extensions: { rows: 10 },
    description: 'Plans of all kinds, or of one, smallest first.',
    args: { serviceType: t.arg({ type: PlanServiceType, description: 'Return only plans for this.' }) },
    resolve: (_root, args, context) => context.call(listPlans, args),
  }),
)
