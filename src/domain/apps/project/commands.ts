import { z } from 'zod'
import type { Project } from '../../../generated/prisma/client.ts'
import { changes, defineCommand, demandOrganization, visible } from '../../../platform/command.ts'
import { assignments, row, rowSoon, rows, run, sql, violated } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { encodeId, newId } from '../../../platform/id.ts'
import { nameSchema, optionalText, slugFrom, slugSchema } from '../../../platform/name.ts'
import { insertWithSlug } from '../../../platform/slug.ts'
import type { Work } from '../../../platform/work.ts'
import { apiKeyRevoked, revokeKeysOfProject } from '../../access/api-key/index.ts'
import type { OrganizationContents } from '../../access/organization/index.ts'
import { projectErrors } from './errors.ts'
import { projectCreated, projectDeleted, projectUpdated } from './events.ts'
import { fallbackOf, fallbackSchema, type ScopeFallback } from './fallback.ts'

const descriptionSchema = optionalText(2_000)

const lockProject = (work: Work, ids: Record<string, string>) =>
  row<Project>(
    work.tx,
    sql`select p.* from project p where p.id = ${ids.id}::uuid and ${visible(work.caller, sql`p`, sql`id`)} and p.deleting_at is null for update`,
  )

export const createProject = defineCommand({
  name: 'createProject',
  description: 'Creates a project with a production environment.',
  permission: 'manage:projects',
  ids: {},
  targetType: 'Project',
  input: z.object({ name: nameSchema, slug: slugSchema.nullish(), description: descriptionSchema.nullish() }),
  emits: [projectCreated],
  async run(work, input) {
    demandOrganization(work.caller, 'create projects')
    const project = await insertWithSlug({ requested: input.slug, generated: slugFrom(input.name, 'project') }, (slug) =>
      row<Project>(
        work.tx,
        sql`insert into project (id, organization_id, name, slug, description)
            values (${newId()}::uuid, ${work.caller.organizationId}::uuid, ${input.name}, ${slug}, ${input.description ?? null})
            on conflict (organization_id, slug) do nothing returning *`,
      ),
    )
    await publish(work, projectCreated, { subjectId: project.id, projectId: project.id, data: eventData(project) })
    return { project }
  },
})

export const updateProject = defineCommand({
  name: 'updateProject',
  description:
    'Updates the name, description or secret fallback of a project. An update that changes nothing returns the project unchanged.',
  permission: 'manage:projects',
  ids: { id: 'Project' },
  targetType: 'Project',
  target: lockProject,
  input: z.object({ name: nameSchema.optional(), description: descriptionSchema.nullish(), secretFallback: fallbackSchema.nullish() }),
  emits: [projectUpdated],
  async run(work, input, target: Project) {
    const { name, description } = input
    const fallback = input.secretFallback && withFallback(target, input.secretFallback)
    const before = { ...target, secretFallback: fallbackOf(target) }
    const after = { name, description, secretFallback: fallback === undefined ? undefined : fallbackOf({ secretFallback: fallback }) }
    if (!changes(before, after)) return { project: target }
    const set = assignments({ name, description, secretFallback: fallback && JSON.stringify(fallback) })
    const project = rowSoon<Project>(
      work.tx,
      sql`update project set ${set}, version = version + 1 where id = ${target.id}::uuid returning *`,
    )
    const data = eventData({ ...target, name: name ?? target.name })
    await publish(work, projectUpdated, { subjectId: target.id, projectId: target.id, data })
    return { project }
  },
  changed: ({ name, description, secretFallback }, target) => ({
    name,
    description,
    ...(secretFallback && { secretFallback: withFallback(target, secretFallback) }),
  }),
})

/** Scopes that the input omits keep their setting. */
const withFallback = (project: Project, given: ScopeFallback[]): ScopeFallback[] =>
  Object.values({ ...fallbackOf(project), ...Object.fromEntries(given.map((setting) => [setting.scope, setting])) })

export const deleteProject = defineCommand({
  name: 'deleteProject',
  description:
    'Deletes a project, revokes its API keys and deletes its webhook endpoints. Fails with `not_empty` if the project contains services or secrets, unless `cascade` is true. With `cascade`, its secrets are deleted, and its services are stopped and deleted in the background.',
  permission: 'delete:projects',
  ids: { id: 'Project' },
  targetType: 'Project',
  target: lockProject,
  input: z.object({ cascade: z.boolean().nullish() }),
  emits: [projectDeleted, apiKeyRevoked],
  async run(work, { cascade }, target: Project) {
    await markDeleting(work, target, Boolean(cascade))
    if (!cascade) await removeProject(work, target.id)
    return { deletedId: target.id }
  },
})

/** Marks a project as being deleted. With `cascade`, what it contains is deleted by reactions and in the background, and then its row. */
async function markDeleting(work: Work, project: Project, cascade: boolean): Promise<void> {
  await run(work.tx, sql`update project set deleting_at = app_now(), version = version + 1 where id = ${project.id}::uuid`)
  await publish(work, projectDeleted, { subjectId: project.id, projectId: project.id, data: { ...eventData(project), cascade } })
  await revokeKeysOfProject(work, project.id)
  if (cascade) work.wake('purge', 'purge environments', 'purge projects')
}

const projectsPerStep = 10

export const projectsOfOrganization: OrganizationContents = {
  name: 'projects',
  phase: 'objects',
  emits: [projectDeleted, apiKeyRevoked],
  async remove(work) {
    const { organizationId } = work.caller
    const projects = await rows<Project>(
      work.tx,
      sql`select * from project where organization_id = ${organizationId}::uuid and deleting_at is null
          order by id limit ${projectsPerStep} for update`,
    )
    for (const project of projects) await markDeleting(work, project, true)
    if (projects.length === projectsPerStep) return 'more'
    const left = await row(work.tx, sql`select 1 as one from project where organization_id = ${organizationId}::uuid limit 1`)
    return left ? 'waiting' : 'done'
  },
}

/** Deletes the row. Throws `not_empty` while the project still contains something. */
async function removeProject(work: Work, id: string): Promise<void> {
  try {
    await run(work.tx, sql`delete from project where id = ${id}::uuid`)
  } catch (error) {
    if (violated(error)?.kind === 'foreign_key') throw projectErrors.not_empty({ field: 'id', cause: error })
    throw error
  }
}

/** The organization's project for services created without one. It is created when first needed, by one of several concurrent commands. */
export async function defaultProject(work: Work): Promise<Project> {
  const slug = 'default'
  const find = () =>
    row<Project>(
      work.tx,
      sql`select * from project where organization_id = ${work.caller.organizationId}::uuid and slug = ${slug} and deleting_at is null for update`,
    )
  const existing = await find()
  if (existing) return existing
  const created = await row<Project>(
    work.tx,
    sql`insert into project (id, organization_id, name, slug) values (${newId()}::uuid, ${work.caller.organizationId}::uuid, 'Default', ${slug})
        on conflict (organization_id, slug) do nothing returning *`,
  )
  const project = created ?? (await find())
  if (!project) throw errors.unavailable({ text: 'The default project is being deleted.' })
  if (created) await publish(work, projectCreated, { subjectId: created.id, projectId: created.id, data: eventData(created) })
  return project
}

const eventData = (project: Project) => ({ projectId: encodeId('Project', project.id), name: project.name, slug: project.slug })
