/** A project with a service in each environment, and the commands of configuration. */
import { afterAll, beforeAll, beforeEach } from 'vitest'
import { createEnvironment } from '../../../src/domain/apps/environment/index.ts'
import { createProject, updateProject } from '../../../src/domain/apps/project/index.ts'
import { createWebService } from '../../../src/domain/apps/web-service/index.ts'
import {
  createEnvVar,
  deleteEnvVar,
  exportEnvVars,
  importEnvVars,
  revealEnvVar,
  revealEnvVars,
  setEnvVars,
  updateEnvVar,
} from '../../../src/domain/configuration/env-var/index.ts'
import { listResolvedEnv, revealResolvedEnv } from '../../../src/domain/configuration/resolution/index.ts'
import {
  createSecret,
  deleteSecret,
  revealSecret,
  revokeSecretVersion,
  setSecrets,
  updateSecret,
} from '../../../src/domain/configuration/secret/index.ts'
import { bindSecret, setSecretBindings, unbindSecret } from '../../../src/domain/configuration/secret-binding/index.ts'
import { currentConfiguration, saveConfiguration } from '../../../src/domain/deploys/deployment/configuration.ts'
import '../../../src/domain/deploys/deployment/index.ts'
import type { Deployment } from '../../../src/generated/prisma/client.ts'
import type { Caller } from '../../../src/platform/access.ts'
import { ask, type Command, type CommandInput, execute, type Query, type Target } from '../../../src/platform/command.ts'
import { row, rows, run as runSql, sql } from '../../../src/platform/db/index.ts'
import { newId } from '../../../src/platform/id.ts'
import { type App, transact } from '../../../src/platform/work.ts'
import { createTenant, createWorld, request, type Tenant, type World } from '../../support/tenant.ts'

export const commands = {
  bindSecret,
  setSecretBindings,
  unbindSecret,
  createSecret,
  deleteSecret,
  revealSecret,
  revokeSecretVersion,
  setSecrets,
  updateSecret,
  createEnvVar,
  deleteEnvVar,
  exportEnvVars,
  importEnvVars,
  revealEnvVar,
  revealEnvVars,
  setEnvVars,
  updateEnvVar,
  revealResolvedEnv,
  updateProject,
}

export type Shop = {
  app: App
  tenant: Tenant
  projectId: string
  /** IDs of the services, by the type of their environment. */
  production: string
  staging: string
  development: string
  /** Runs a command as the owner or as another caller. */
  run<Input, Row extends Target | null, Result extends object>(
    command: Command<Input, Row, Result>,
    input: CommandInput,
    caller?: Caller,
  ): Promise<Result>
  ask<Input, Result>(query: Query<Input, Result>, input: Record<string, unknown>, caller?: Caller): Promise<Result>
  /** The resolved variables of a service with masked values, without platform defaults. */
  resolved(webServiceId: string): Promise<Record<string, string | null>>
}

export async function createShop(app: App): Promise<Shop> {
  const tenant = await createTenant(app)
  const run: Shop['run'] = (command, input, caller = tenant.owner) => execute(request(app, caller), command, input)
  const { project } = await run(createProject, { name: 'Shop' })
  const service = async (name: string, environmentId?: string) =>
    (await run(createWebService, { projectId: project.id, environmentId, name })).webService.id
  const environment = async (type: string) => (await run(createEnvironment, { projectId: project.id, name: type, type })).environment.id
  const production = await service('Web')
  const staging = await service('Web staging', await environment('STAGING'))
  const development = await service('Web development', await environment('DEVELOPMENT'))
  return {
    app,
    tenant,
    projectId: project.id,
    production,
    staging,
    development,
    run,
    ask: (query, input, caller = tenant.owner) => ask(request(app, caller), query, input),
    async resolved(webServiceId) {
      const { variables } = await ask(request(app, tenant.owner), listResolvedEnv, { webServiceId, reveal: false })
      const own = variables.filter(({ source }) => source.kind !== 'PLATFORM_DEFAULT')
      return Object.fromEntries(own.map(({ key, value }) => [key, value]))
    },
  }
}

export type ConfigurationWorld = Shop &
  Pick<World, 'app' | 'url' | 'process'> & {
    /** Replaces the shop with a new one. */
    renew(): Promise<void>
  }

/** A database for the file and a new shop for each test. The returned object is filled before each test. */
export function configurationWorld(settings: Record<string, string> = {}): ConfigurationWorld {
  let world: World
  const shop = {} as ConfigurationWorld
  const renew = async () => {
    const { app, url, process } = world
    Object.assign(shop, await createShop(app), { app, url, process, renew })
  }
  beforeAll(async () => {
    world = await createWorld(settings)
  })
  afterAll(() => world?.close())
  beforeEach(renew)
  return shop
}

export const eventsOf = (app: App, type: string): Promise<{ subjectId: string; data: Record<string, unknown> }[]> =>
  rows(app.db, sql`select subject_id, data from event where type = ${type} order by ordinal`)

type Audited = {
  actorName: string
  targetId: string
  targetName: string
  before: unknown
  after: unknown
  details: Record<string, unknown>
}

export const auditOf = (app: App, action: string): Promise<Audited[]> =>
  rows(
    app.db,
    sql`select actor_name, target_id, target_name, before, after, details from audit_entry where action = ${action} order by created_at, id`,
  )

let number = 1_000

/** A live or superseded deployment with the current configuration. */
export async function pinnedIn({ app, tenant, production }: Shop, status: 'LIVE' | 'SUPERSEDED'): Promise<Deployment> {
  const id = newId()
  number++
  await runSql(
    app.db,
    sql`insert into deployment (id, organization_id, web_service_id, number, kind, trigger, status, created_by_type, release_digest, live_at, finished_at, commit_hash)
        values (${id}::uuid, ${tenant.organizationId}::uuid, ${production}::uuid, ${number}, 'DEPLOY', 'API', ${status}::deployment_status,
          'system', ${`sha256:${id}`}, now(), now(), 'abc')`,
  )
  await runSql(
    app.db,
    sql`insert into release (id, organization_id, web_service_id, deployment_id, digest, size_bytes)
        values (${newId()}::uuid, ${tenant.organizationId}::uuid, ${production}::uuid, ${id}::uuid, ${`sha256:${id}`}, 1)`,
  )
  const deployment = (await row<Deployment>(app.db, sql`select * from deployment where id = ${id}::uuid`))!
  await transact(app, tenant.owner, { emits: app.domain.eventTypes.all }, async (work) => {
    const problem = await saveConfiguration(work, deployment, await currentConfiguration(work, production, revisionOf(deployment)))
    if (problem) throw new Error(problem)
  })
  return deployment
}

export const revisionOf = ({ id, commitHash, branch }: Deployment) => ({ deploymentId: id, commitHash, branch })
