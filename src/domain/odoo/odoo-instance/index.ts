/**
 * Odoo instances: web services of the kind ODOO, each with a database, a disk and a configuration file of its own. How releases get online is
 * not here: this concept adds to the deployments of its kind.
 */
import { defineConcept } from '../../../platform/concept.ts'
import { check, clearedReference, stamped } from '../../../platform/db/constraints.ts'
import { kindReleases } from '../../deploys/deployment/index.ts'
import { kindExtensions } from '../../deploys/instance/index.ts'
import { moduleRelease } from '../module-update/index.ts'
import { createOdooInstance, updateOdooInstance } from './commands.ts'
import { odooInstanceEvents } from './events.ts'
import { modulePlaces, odooKind } from './kind.ts'
import { adminIdentity } from './model.ts'
import {
  countOdooInstances,
  countOdooInstancesByProject,
  findOdooInstance,
  listOdooInstances,
  odooInstanceListing,
  odooInstanceOverviews,
  odooInstancesOfEnvironments,
} from './queries.ts'
import { reactions } from './reactions.ts'

export { createOdooInstance, updateOdooInstance } from './commands.ts'
export { odooInstanceEvents } from './events.ts'
export type { OdooInstanceStatus } from './model.ts'
export {
  countOdooInstancesByProject,
  findOdooInstance,
  listOdooInstances,
  type OdooInstanceOverview,
  type OdooInstanceRow,
  odooInstanceListing,
  odooInstanceOverviews,
  odooInstancesOfEnvironments,
} from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    OdooInstance: 'odooinst'
  }
}

export const odooInstance = defineConcept({
  name: 'odoo-instance',
  idPrefixes: { OdooInstance: 'odooinst' },
  nodes: [odooInstanceListing],
  commands: [createOdooInstance, updateOdooInstance],
  queries: [
    ...[findOdooInstance, listOdooInstances, countOdooInstances, odooInstanceOverviews],
    ...[countOdooInstancesByProject, odooInstancesOfEnvironments],
  ],
  events: Object.values(odooInstanceEvents),
  reactions,
  extensions: [kindExtensions.with(odooKind), kindReleases.with(moduleRelease(modulePlaces))],
  sealed: [{ table: 'odoo_instance', key: 'id', column: 'admin_password', identity: adminIdentity }],
  constraints: [
    ...stamped('odoo_instance'),
    clearedReference('odoo_instance', 'database_id', 'database'),
    clearedReference('odoo_instance', 'disk_id', 'disk'),
    check('odoo_instance', 'workers', 'workers BETWEEN 0 AND 64'),
  ],
})
