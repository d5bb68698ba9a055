/** Odoo accounts: connections to databases of Odoo servers. What is called through them is not here. */
import { defineConcept } from '../../../platform/concept.ts'
import { clearedReference, stamped } from '../../../platform/db/constraints.ts'
import { organizationContents, rowsOfAccess } from '../../access/organization/index.ts'
import { createOdooAccount, deleteOdooAccount, updateOdooAccount } from './commands.ts'
import { odooErrors } from './errors.ts'
import { odooAccountCreated, odooAccountDeleted, odooAccountUpdated } from './events.ts'
import { secretIdentity } from './model.ts'
import { odooPort } from './ports.ts'
import { countOdooAccounts, findOdooAccount, listOdooAccounts, odooAccountListing } from './queries.ts'

export { createOdooAccount, deleteOdooAccount, lockOdooAccount, updateOdooAccount } from './commands.ts'
export { connectionOf } from './connection.ts'
export { odooErrors } from './errors.ts'
export { odooAccountDeleted } from './events.ts'
export { isOdooFailure, odooErrorOf } from './failure.ts'
export { type OdooConnection, type OdooFailureCode, odooPort } from './ports.ts'
export { findOdooAccount, listOdooAccounts, type OdooAccountRow, odooAccountListing } from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    OdooAccount: 'odoo'
  }
}

export const odooAccount = defineConcept({
  name: 'odoo-account',
  idPrefixes: { OdooAccount: 'odoo' },
  nodes: [odooAccountListing],
  commands: [createOdooAccount, updateOdooAccount, deleteOdooAccount],
  queries: [findOdooAccount, listOdooAccounts, countOdooAccounts],
  events: [odooAccountCreated, odooAccountUpdated, odooAccountDeleted],
  errors: [odooErrors],
  ports: [odooPort],
  extensions: [organizationContents.with(rowsOfAccess('Odoo accounts', ['odoo_account']))],
  sealed: [{ table: 'odoo_account', key: 'id', column: 'secret', identity: secretIdentity }],
  constraints: [...stamped('odoo_account'), clearedReference('odoo_account', 'web_service_id', 'web_service')],
})
