import { type Plan, unlimited } from '../plan/index.ts'

/** Local instances are not limited. */
export const webServicePlans: readonly Plan[] = [
  { id: 'c8cd3fd5-70cd-5cc8-a78f-5612d280dd30', serviceType: 'WEB_SERVICE', slug: 'standard', name: 'Standard', ...unlimited },
]
