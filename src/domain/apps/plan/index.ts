/** Plans: named sizes of what can be created. Each concept offers its own. */
import { defineConcept } from '../../../platform/concept.ts'
import { listPlans } from './queries.ts'

export { chosenPlan, offeredPlans, type Plan, type PlanServiceType, unlimited } from './model.ts'
export { listPlans } from './queries.ts'

export const plan = defineConcept({ name: 'plan', queries: [listPlans] })
