import { z } from 'zod'
import { defineQuery } from '../../../platform/command.ts'
import { offeredPlans, type Plan, planServiceTypes } from './model.ts'

export const listPlans = defineQuery({
  name: 'plans',
  description:
    'Plans for new web services, databases and Redis instances, smallest first, with the limits that this installation enforces.',
  permission: null,
  ids: {},
  input: z.object({ serviceType: z.enum(planServiceTypes).nullish() }),
  run: async ({ app }, { serviceType }): Promise<Plan[]> =>
    offeredPlans
      .of(app)
      .flat()
      .filter((plan) => !serviceType || plan.serviceType === serviceType),
})
