import { defineListing, findQuery } from '../../../platform/listing.ts'

export const operationListing = defineListing({
  type: 'Operation',
  noun: 'operation',
  permission: 'view:organization',
  order: 'newest_first',
  nameColumn: 'type',
  audited: ['type', 'status'],
})

export const findOperation = findQuery(operationListing)
