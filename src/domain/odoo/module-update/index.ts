/**
 * Modules of Odoo instances: installed into an empty database, and updated by deployments, or all as before. What an instance is belongs to a
 * later concept, which registers `moduleRelease` for its deployments.
 */
import { defineConcept } from '../../../platform/concept.ts'
import { check, stamped } from '../../../platform/db/constraints.ts'
import { sweepSnapshots } from './sweep.ts'

export { type ModulePlaces, moduleRelease } from './release.ts'

export const moduleUpdate = defineConcept({
  name: 'module-update',
  chores: [sweepSnapshots],
  constraints: [
    ...stamped('module_update'),
    check('module_update', 'stage', "stage IN ('CHOSEN', 'UPDATING', 'UPDATED', 'RESTORING', 'RESTORED')"),
  ],
})
