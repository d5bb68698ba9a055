import { z } from 'zod'
import type { SpeedTest } from '../../../generated/prisma/client.ts'
import { ofOrganization } from '../../../platform/command.ts'
import { sql } from '../../../platform/db/index.ts'
import { countQuery, defineListing, listQuery, sliceQuery } from '../../../platform/listing.ts'

/** Tests belong to the organization as a whole, as Odoo accounts do. */
export const speedTestListing = defineListing({
  type: 'SpeedTest',
  noun: 'speed test',
  permission: 'view:odoo',
  order: 'newest_first',
  nameColumn: 'type',
  audited: ['type', 'status', 'latencyMs', 'details', 'odooAccountId'],
  visible: (caller) => ofOrganization(caller, sql`t`),
  filter: { odooAccountId: z.string().nullish() },
  ids: { odooAccountId: 'OdooAccount' },
  parents: ['odooAccountId'],
})

export type SpeedTestRow = SpeedTest

export const listSpeedTests = listQuery(speedTestListing)
export const countSpeedTests = countQuery(speedTestListing)
export const sliceSpeedTests = sliceQuery(speedTestListing)
