import type { Chore } from '../../../platform/claim.ts'
import { readInstanceOutput, readLoudInstances } from './output.ts'
import { reconcileInstances } from './reconcile.ts'
import { expireReleases } from './release.ts'
import { keepRoutes, noteLoad } from './route.ts'

/** What keeps instances as they are wanted, and requests on their way to them. */
export const instanceChores: Chore[] = [keepRoutes, noteLoad, reconcileInstances, readInstanceOutput, readLoudInstances, expireReleases]

export { settleReconciler } from './reconcile.ts'
export { keepRoutes } from './route.ts'
