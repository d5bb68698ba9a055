import type { Environment, Project } from '../../../generated/prisma/client.ts'
import { demand, impliedProject, visible } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { lock } from '../../../platform/db/lock.ts'
import { errors } from '../../../platform/errors.ts'
import type { Work } from '../../../platform/work.ts'
import { defaultProject } from '../project/index.ts'
import { insertEnvironment } from './commands.ts'

/** Where something is created. Without ids: in the only project of a caller that is limited to one, or else in the organization's default project. */
export type Place = {
  projectId?: string | null | undefined
  environmentId?: string | null | undefined
  /** Without an environment id: the type of the environment, which is created if the project has none. */
  environmentType?: Environment['type'] | null | undefined
}

/**
 * The environment for something new, locked against deletion: the one with the given id, or else the project's oldest one of the given type,
 * by default production. Throws `not_found`, and `invalid_input` if the project has no production environment.
 */
export async function placeFor(work: Work, { projectId, environmentId, environmentType }: Place): Promise<Environment> {
  const { caller, tx } = work
  const chosen = projectId || (environmentId ? null : impliedProject(caller))
  const project =
    chosen || environmentId
      ? await row<Project>(
          tx,
          sql`select p.* from project p where ${visible(caller, sql`p`, sql`id`)} and p.deleting_at is null
              and ${chosen ? sql`p.id = ${chosen}::uuid` : sql`p.id = (select project_id from environment where id = ${environmentId}::uuid)`}
              for share`,
        )
      : await defaultProject(work)
  if (!project) throw errors.not_found({ field: projectId ? 'projectId' : 'environmentId' })
  const find = () =>
    row<Environment>(
      tx,
      sql`select * from environment where project_id = ${project.id}::uuid and deleting_at is null
          and ${environmentId ? sql`id = ${environmentId}::uuid` : sql`type = ${environmentType ?? 'PRODUCTION'}::environment_type`}
          order by id limit 1 for share`,
    )
  const environment = await find()
  if (environment) return environment
  if (environmentId) throw errors.not_found({ field: 'environmentId' })
  if (!environmentType) {
    throw errors.invalid_input({
      field: 'environmentId',
      text: 'environmentId: is required because the project has no production environment',
    })
  }
  demand(caller, 'manage:environments')
  // Of two concurrent commands, the second finds the environment that the first created.
  await lock(tx, `${project.id} ${environmentType}`)
  return (await find()) ?? insertEnvironment(work, project, { name: environmentNames[environmentType], type: environmentType })
}

const environmentNames: Record<Environment['type'], string> = { PRODUCTION: 'Production', STAGING: 'Staging', DEVELOPMENT: 'Development' }
