/** Plans: what can be chosen when something is created, with the limits that this installation enforces. Nothing has a price. */
import { defineExtensionPoint } from '../../../platform/concept.ts'
import { errors } from '../../../platform/errors.ts'

export const planServiceTypes = ['WEB_SERVICE', 'POSTGRESQL', 'REDIS'] as const
export type PlanServiceType = (typeof planServiceTypes)[number]

/** A limit is null if it is not enforced. */
export type Plan = {
  /** A UUID, the same in every installation. It must not change, because clients store it. */
  id: string
  serviceType: PlanServiceType
  /** Unique within its service type. */
  slug: string
  name: string
  cpuLimit: number | null
  memoryLimitBytes: number | null
  storageLimitBytes: number | null
  maxConnections: number | null
}

/** The plans of a concept, smallest first. */
export const offeredPlans = defineExtensionPoint<readonly Plan[]>('offered plans')

export const unlimited = { cpuLimit: null, memoryLimitBytes: null, storageLimitBytes: null, maxConnections: null } as const

/** The plan with an id that a caller has chosen. Null if none was. Throws `not_found` if it is not one of these. */
export function chosenPlan(plans: readonly Plan[], id: string | null | undefined): Plan | null {
  if (id === null || id === undefined) return null
  const found = plans.find((plan) => plan.id === id.toLowerCase())
  if (!found)
    throw errors.not_found({ field: 'planId', text: 'There is no such plan of this kind. The list of plans contains the available ones.' })
  return found
}
