import { z } from 'zod'
import { countQuery, defineListing, findQuery, listQuery } from '../../../platform/listing.ts'

export const customDomainListing = defineListing({
  type: 'CustomDomain',
  noun: 'custom domain',
  permission: 'view:domains',
  order: 'oldest_first',
  nameColumn: 'domain',
  audited: ['domain', 'webServiceId', 'dnsStatus', 'isPrimary'],
  filter: { webServiceId: z.string().nullish() },
  ids: { webServiceId: 'WebService' },
  parents: ['webServiceId'],
})

export const listCustomDomains = listQuery(customDomainListing)
export const countCustomDomains = countQuery(customDomainListing)
export const findCustomDomain = findQuery(customDomainListing)
