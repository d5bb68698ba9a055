import { z } from 'zod'
import { listPlans } from '../../../domain/apps/plan/index.ts'
import { queryRow, type Route, type Source } from '../../core/index.ts'
import { planBody, planList } from '../plan-bodies.ts'
import { planServiceTypes } from '../vocabulary.ts'

/** Chooses a plan when a database is created. */
export const planId: Source = {
  to: 'planId',
  description: 'ID of the plan, which sets the limits. A plan of another kind answers 404. Defaults to `standard`.',
}

export const planRoutes: Route[] = [
  queryRow({
    id: 'listPlans',
    method: 'GET',
    path: '/plans',
    tag: 'Plans',
    summary: 'List plans',
    description: 'Returns the limits that this installation enforces. Plans cost nothing, and their IDs never change.',
    read: listPlans,
    query: {
      service_type: {
        to: 'serviceType',
        words: planServiceTypes,
        schema: z.enum(['web_service', 'postgresql', 'redis']),
        description: 'Return only plans for this.',
      },
    },
    status: 200,
    schema: planList,
    reply: (plans) => ({ plans: plans.map(planBody), total: plans.length }),
  }),
]
