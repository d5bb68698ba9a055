import { z } from 'zod'
import { countQuery, defineListing, findQuery, listQuery } from '../../../platform/listing.ts'

export const environmentListing = defineListing({
  type: 'Environment',
  noun: 'environment',
  permission: 'view:environments',
  order: 'oldest_first',
  audited: ['name', 'slug', 'type', 'projectId'],
  filter: { projectId: z.string().nullish() },
  ids: { projectId: 'Project' },
  parents: ['projectId'],
})

export const listEnvironments = listQuery(environmentListing)
export const countEnvironments = countQuery(environmentListing)
export const findEnvironment = findQuery(environmentListing)
