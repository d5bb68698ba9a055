import { z } from 'zod'
import { ofOrganization } from '../../../platform/command.ts'
import { sql } from '../../../platform/db/index.ts'
import { countQuery, defineListing, listQuery } from '../../../platform/listing.ts'

export const outcomes = ['SUCCEEDED', 'FAILED'] as const

export const bridgeCallListing = defineListing({
  type: 'BridgeCall',
  noun: 'call of Odoo',
  permission: 'view:odoo',
  order: 'newest_first',
  nameColumn: 'method',
  filter: { odooAccountId: z.string().nullish(), outcome: z.enum(outcomes).nullish() },
  ids: { odooAccountId: 'OdooAccount' },
  parents: ['odooAccountId'],
  where: ({ outcome }) => (outcome ? [outcome === 'FAILED' ? sql`t.error_code is not null` : sql`t.error_code is null`] : []),
  visible: (caller) => ofOrganization(caller, sql`t`),
})

export const listBridgeCalls = listQuery(bridgeCallListing)
export const countBridgeCalls = countQuery(bridgeCallListing)
