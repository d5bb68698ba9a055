import { visible } from '../../../platform/command.ts'
import { sql } from '../../../platform/db/index.ts'
import { countQuery, defineListing, findBySlugQuery, listQuery, sliceQuery } from '../../../platform/listing.ts'

export const projectListing = defineListing({
  type: 'Project',
  noun: 'project',
  permission: 'view:projects',
  order: 'oldest_first',
  audited: ['name', 'slug', 'description', 'secretFallback'],
  visible: (caller) => visible(caller, sql`t`, sql`id`),
})

export const listProjects = listQuery(projectListing)
export const countProjects = countQuery(projectListing)
export const sliceProjects = sliceQuery(projectListing)
export const findProject = findBySlugQuery(projectListing)
