import { visible } from '../../../platform/command.ts'
import { rows, type Sql, sql } from '../../../platform/db/index.ts'
import { countQuery, defineListing, findBySlugQuery, listQuery, type Reader, sliceQuery } from '../../../platform/listing.ts'

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

/** The projects that some members, or invitations, are limited to, those of each visible to the caller, oldest first. */
export const projectsByMember = projectsBy(sql`select member_id as holder_id, project_id from member_project p where p.member_id`)
export const projectsByInvitation = projectsBy(
  sql`select invitation_id as holder_id, project_id from invitation_project p where p.invitation_id`,
)

function projectsBy(pairsOf: Sql) {
  return async (reader: Reader, ids: readonly string[]) => {
    const pairs = await rows<{ holderId: string; projectId: string }>(reader.tx, sql`${pairsOf} = any(${ids}::uuid[]) order by project_id`)
    const found = await projectListing.find(reader, [...new Set(pairs.map(({ projectId }) => projectId))])
    const projects = new Map(found.map((project) => [project.id, project]))
    const byHolder = Map.groupBy(pairs, ({ holderId }) => holderId)
    return ids.map((id) => (byHolder.get(id) ?? []).flatMap(({ projectId }) => projects.get(projectId) ?? []))
  }
}
