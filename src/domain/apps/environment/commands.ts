import { z } from 'zod'
import type { Environment, Project } from '../../../generated/prisma/client.ts'
import { changes, defineCommand, visible } from '../../../platform/command.ts'
import { row, rowSoon, run, sql, violated } from '../../../platform/db/index.ts'
import { publish } from '../../../platform/events.ts'
import { encodeId, newId } from '../../../platform/id.ts'
import { nameSchema, slugFrom } from '../../../platform/name.ts'
import { insertWithSlug } from '../../../platform/slug.ts'
import type { Work } from '../../../platform/work.ts'
import { projectErrors } from '../project/index.ts'
import { environmentErrors } from './errors.ts'
import { environmentCreated, environmentDeleted } from './events.ts'

const lockEnvironment = (work: Work, ids: Record<string, string>) =>
  row<Environment>(
    work.tx,
    sql`select e.* from environment e where e.id = ${ids.id}::uuid and ${visible(work.caller, sql`e`)} and e.deleting_at is null for update`,
  )

export const createEnvironment = defineCommand({
  name: 'createEnvironment',
  description: 'Creates an environment in a project. A project can have several environments of one type.',
  permission: 'manage:environments',
  ids: { projectId: 'Project' },
  targetType: 'Project',
  creates: 'Environment',
  target: (work, ids) =>
    row<Project>(
      work.tx,
      sql`select p.* from project p where p.id = ${ids.projectId}::uuid and ${visible(work.caller, sql`p`, sql`id`)} and p.deleting_at is null
          for update`,
    ),
  input: z.object({ name: nameSchema, type: z.enum(['PRODUCTION', 'STAGING', 'DEVELOPMENT']) }),
  emits: [environmentCreated],
  run: async (work, input, project: Project) => ({ environment: await insertEnvironment(work, project, input) }),
})

export async function insertEnvironment(
  work: Work,
  project: Pick<Project, 'id' | 'organizationId'>,
  input: { name: string; type: Environment['type'] },
): Promise<Environment> {
  const environment = await insertWithSlug({ requested: null, generated: slugFrom(input.name, 'environment') }, (slug) =>
    row<Environment>(
      work.tx,
      sql`insert into environment (id, organization_id, project_id, name, slug, type)
          values (${newId()}::uuid, ${project.organizationId}::uuid, ${project.id}::uuid, ${input.name}, ${slug}, ${input.type}::environment_type)
          on conflict (project_id, slug) do nothing returning *`,
    ),
  )
  await publish(work, environmentCreated, { subjectId: environment.id, projectId: project.id, data: eventData(environment) })
  return environment
}

export const updateEnvironment = defineCommand({
  name: 'updateEnvironment',
  description:
    'Updates the name of an environment. The type cannot be changed. An update that changes nothing returns the environment unchanged.',
  permission: 'manage:environments',
  ids: { id: 'Environment' },
  targetType: 'Environment',
  target: lockEnvironment,
  input: z.object({ name: nameSchema.optional() }),
  emits: [],
  async run(work, input, target: Environment) {
    if (!changes(target, input)) return { environment: target }
    const environment = rowSoon<Environment>(
      work.tx,
      sql`update environment set name = ${input.name}, version = version + 1 where id = ${target.id}::uuid returning *`,
    )
    return { environment }
  },
  changed: (input) => input,
})

export const deleteEnvironment = defineCommand({
  name: 'deleteEnvironment',
  description:
    'Deletes an environment. Fails with `not_empty` if the environment contains services, unless `cascade` is true. With `cascade`, its services are stopped and deleted in the background. With `keepProduction`, fails with `production_environment` for an environment of type `PRODUCTION`.',
  permission: 'delete:environments',
  ids: { id: 'Environment' },
  targetType: 'Environment',
  target: lockEnvironment,
  input: z.object({ cascade: z.boolean().nullish(), keepProduction: z.boolean().nullish() }),
  emits: [environmentDeleted],
  async run(work, { cascade, keepProduction }, target: Environment) {
    if (keepProduction && target.type === 'PRODUCTION') throw environmentErrors.production_environment({ field: 'id' })
    const environment = await markDeleting(work, target, Boolean(cascade))
    if (cascade) {
      work.wake('purge', 'purge environments')
      return { deletedId: target.id, environment: environment as Environment | null }
    }
    try {
      await run(work.tx, sql`delete from environment where id = ${target.id}::uuid`)
    } catch (error) {
      if (violated(error)?.kind === 'foreign_key') throw projectErrors.not_empty({ field: 'id', cause: error })
      throw error
    }
    return { deletedId: target.id, environment: null as Environment | null }
  },
})

/** Marks an environment as being deleted. Its services react to the event. */
export async function markDeleting(work: Work, environment: Environment, cascade: boolean): Promise<Environment> {
  const marked = (await row<Environment>(
    work.tx,
    sql`update environment set deleting_at = app_now(), version = version + 1 where id = ${environment.id}::uuid returning *`,
  ))!
  await publish(work, environmentDeleted, {
    subjectId: environment.id,
    projectId: environment.projectId,
    data: { ...eventData(environment), cascade },
  })
  return marked
}

const eventData = (environment: Environment) => ({
  environmentId: encodeId('Environment', environment.id),
  projectId: encodeId('Project', environment.projectId),
  name: environment.name,
  type: environment.type,
})
