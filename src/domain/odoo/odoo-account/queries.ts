import type { OdooAccount } from '../../../generated/prisma/client.ts'
import { ofOrganization } from '../../../platform/command.ts'
import { sql } from '../../../platform/db/index.ts'
import { countQuery, defineListing, findQuery, listQuery } from '../../../platform/listing.ts'

/** Accounts belong to the organization as a whole: a caller that is limited to projects sees none. */
export const odooAccountListing = defineListing({
  type: 'OdooAccount',
  noun: 'Odoo account',
  audited: ['name', 'url', 'webServiceId', 'database', 'login', 'transport', 'odooVersion'],
  permission: 'view:odoo',
  order: 'oldest_first',
  omit: ['secret'],
  visible: (caller) => ofOrganization(caller, sql`t`),
})

export type OdooAccountRow = Omit<OdooAccount, 'secret'>

export const listOdooAccounts = listQuery(odooAccountListing)
export const countOdooAccounts = countQuery(odooAccountListing)
export const findOdooAccount = findQuery(odooAccountListing)
