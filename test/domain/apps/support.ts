import { createEnvironment } from '../../../src/domain/apps/environment/index.ts'
import { createProject } from '../../../src/domain/apps/project/index.ts'
import { createWebService } from '../../../src/domain/apps/web-service/index.ts'
import type { Environment, Project, WebService } from '../../../src/generated/prisma/client.ts'
import type { Caller } from '../../../src/platform/access.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { row, rows, sql } from '../../../src/platform/db/index.ts'
import { newId } from '../../../src/platform/id.ts'
import type { App } from '../../../src/platform/work.ts'
import { request } from '../../support/tenant.ts'

export const project = async (app: App, caller: Caller, input: CommandInput = {}): Promise<Project> =>
  (await execute(request(app, caller), createProject, { name: 'Shop', ...input })).project

export const environment = async (app: App, caller: Caller, projectId: string, input: CommandInput = {}): Promise<Environment> =>
  (await execute(request(app, caller), createEnvironment, { projectId, name: 'Staging', type: 'STAGING', ...input })).environment

export const webService = async (app: App, caller: Caller, input: CommandInput = {}): Promise<WebService> =>
  (await execute(request(app, caller), createWebService, { name: 'web', ...input })).webService

export const environmentsOf = (app: App, projectId: string): Promise<Environment[]> =>
  rows(app.db, sql`select * from environment where project_id = ${projectId}::uuid order by id`)

/** Types of the events of an object, in order. */
export const toldOf = async (app: App, subjectId: string): Promise<string[]> =>
  (await rows<{ type: string }>(app.db, sql`select type from event where subject_id = ${subjectId}::uuid order by sequence`)).map(
    ({ type }) => type,
  )

export const exists = async (app: App, table: 'project' | 'environment' | 'web_service', id: string): Promise<boolean> =>
  (await app.db.pool.query(`select 1 from ${table} where id = $1`, [id])).rowCount === 1

/** A live deployment, as the pipeline would have written it. */
export async function liveDeployment(app: App, service: WebService): Promise<string> {
  const id = newId()
  await (await app.db.prismaClient()).deployment.create({
    data: {
      id,
      organizationId: service.organizationId,
      webServiceId: service.id,
      number: 1,
      kind: 'DEPLOY',
      trigger: 'API',
      status: 'LIVE',
      branch: 'main',
      releaseDigest: 'sha256:1',
      liveAt: new Date(),
      createdByType: 'system',
    },
  })
  return id
}

export const reread = async (app: App, service: WebService): Promise<WebService> =>
  (await row<WebService>(app.db, sql`select * from web_service where id = ${service.id}::uuid`))!
