import { randomBytes } from 'node:crypto'
import type { z } from 'zod'
import type { OdooInstance, WebService } from '../../../generated/prisma/client.ts'
import { changes, defineCommand, demand, visible } from '../../../platform/command.ts'
import { assignments, newRow, row, sql } from '../../../platform/db/index.ts'
import { publish } from '../../../platform/events.ts'
import type { Work } from '../../../platform/work.ts'
import { environmentCreated } from '../../apps/environment/index.ts'
import { projectCreated } from '../../apps/project/index.ts'
import {
  createWebServiceSchema,
  insertWebService,
  updateWebService,
  webServiceCreated,
  webServiceUpdated,
} from '../../apps/web-service/index.ts'
import { bulkSchema, envVarChanged, writeEnvVars } from '../../configuration/env-var/index.ts'
import { deploymentEvents, queueDeployment } from '../../deploys/deployment/index.ts'
import { createDisk, diskEvents } from '../../deploys/disk/index.ts'
import {
  bindableDatabases,
  databaseCreated,
  databaseCreation,
  defaultMaxConnections,
  insertDatabase,
  prepareDatabase,
} from '../../resources/database/index.ts'
import { connectResource, resourceBindingCreated } from '../../resources/resource-binding/index.ts'
import { eventOf, odooInstanceEvents } from './events.ts'
import { dataFolder } from './kind.ts'
import { adminIdentity, createdSettings, instanceNameSchema, instanceSettings } from './model.ts'
import type { OdooInstanceRow } from './queries.ts'

/** A row without its sealed value, as results contain it. */
const shown = ({ adminPassword, ...instance }: OdooInstance): OdooInstanceRow => instance

/** The ports of an instance open one after the other, and its workers end their requests before they stop. */
const serviceDefaults = { healthCheckPath: '/web/health', healthTimeoutMs: 600_000, shutdownGraceMs: 60_000 }

const diskBytes = 10 * 1024 ** 3

const envVars = { envVars: bulkSchema.nullish() }

export const createOdooInstance = defineCommand({
  name: 'createOdooInstance',
  description:
    'Creates an Odoo instance: a web service of the kind `ODOO` with its own PostgreSQL database and disk, and queues its first deployment. Returns it with the status `PROVISIONING`. The repository contains the addons; without one, the instance is Odoo alone. Fails with `placement_unsupported` if `serverId` is another server than the local one, and with `unavailable` if PostgreSQL is not installed on the machine.',
  permission: 'manage:web_services',
  ids: { projectId: 'Project', environmentId: 'Environment', sshKeyId: 'SshKey', serverId: 'Server' },
  targetType: 'OdooInstance',
  input: createWebServiceSchema
    .pick({
      projectId: true,
      environmentId: true,
      environmentType: true,
      slug: true,
      repositoryUrl: true,
      branch: true,
      sshKeyId: true,
      serverId: true,
    })
    .extend({
      ...createdSettings.input.shape,
      ...instanceSettings.input.shape,
      ...envVars,
      name: instanceNameSchema,
    }),
  emits: [
    ...[webServiceCreated, projectCreated, environmentCreated, databaseCreated, resourceBindingCreated, diskEvents.created],
    ...[envVarChanged, deploymentEvents.queued, odooInstanceEvents.created],
  ],
  prepare: ({ app }) => prepareDatabase(app, 'new'),
  async run(work, { envVars, odooVersion, edition, addonsPath, workers, config, ...input }, _target, prepared) {
    const { app } = work
    demand(work.caller, 'manage:databases')
    demand(work.caller, 'deploy:web_services')
    const service = await insertWebService(work, { ...input, ...serviceDefaults, kind: 'ODOO' })
    const { id, organizationId, projectId, environmentId, name } = service
    const database = await insertDatabase(work, {
      ...{ environment: { id: environmentId, organizationId, projectId }, name, maxConnections: defaultMaxConnections, settings: {} },
      ...prepared,
    })
    await publish(work, databaseCreated, databaseCreation(database))
    await connectResource(work, { kind: bindableDatabases, resource: database, webServiceId: id, alias: null })
    const { disk } = await createDisk.run(work, { name: 'odoo', mountPath: `/app/${dataFolder}`, sizeBytes: diskBytes }, service, undefined)
    const data = {
      ...{ id, organizationId, projectId, environmentId, databaseId: database.id, diskId: (await disk).id },
      ...createdSettings.values(app, { odooVersion, edition }),
      ...instanceSettings.values(app, { addonsPath, workers, config }),
      adminPassword: await app.keyring.seal(work.tx, organizationId, adminIdentity(id), randomBytes(24).toString('base64url')),
    }
    const instance = (await row<OdooInstance>(work.tx, sql`insert into odoo_instance ${newRow(data)} returning *`))!
    await publish(work, odooInstanceEvents.created, eventOf({ ...service, ...instance }))
    await writeVariables(work, service, envVars)
    const { branch } = service
    const deployment = await queueDeployment(work, service, service.queuePolicy, { kind: 'DEPLOY', branch })
    return { odooInstance: shown(instance), deployment }
  },
  audited: ({ envVars }) => ({ keys: (envVars ?? []).map(({ key }) => key) }),
})

async function writeVariables(work: Work, service: WebService, entries: z.infer<typeof bulkSchema> | null | undefined): Promise<void> {
  if (!entries || entries.length === 0) return
  demand(work.caller, 'manage:secrets')
  await writeEnvVars(work, service, entries, {})
}

type Locked = OdooInstance & { service: WebService }

export const updateOdooInstance = defineCommand({
  name: 'updateOdooInstance',
  description:
    'Updates an Odoo instance. Omitted fields keep their value; null restores the default. `workers` and `config` take effect when the instance is restarted or deployed, `addonsPath` and `envVars` with the next deployment: see `pendingSettings`.',
  permission: 'manage:web_services',
  ids: { id: 'OdooInstance' },
  targetType: 'OdooInstance',
  async target({ tx, caller }, { id }): Promise<Locked | null> {
    const service = await row<WebService>(
      tx,
      sql`select s.* from web_service s where s.id = ${id}::uuid and ${visible(caller, sql`s`)} and s.desired_state <> 'DELETED' for update`,
    )
    const instance = service && (await row<OdooInstance>(tx, sql`select * from odoo_instance where id = ${id}::uuid for update`))
    return instance && { ...instance, service }
  },
  input: instanceSettings.input.extend({ ...envVars, name: instanceNameSchema.optional() }),
  emits: [odooInstanceEvents.updated, webServiceUpdated, envVarChanged],
  async run(work, { name, envVars, ...input }, { service, ...target }: Locked) {
    const wanted = instanceSettings.values(work.app, input, target)
    if (name !== undefined) await updateWebService.run(work, { name }, service, undefined)
    await writeVariables(work, service, envVars)
    if (!changes({ ...target, name: service.name }, { ...wanted, name })) return { odooInstance: shown(target) }
    const instance = (await row<OdooInstance>(
      work.tx,
      sql`update odoo_instance set ${assignments(wanted)}, version = version + 1 where id = ${target.id}::uuid returning *`,
    ))!
    await publish(work, odooInstanceEvents.updated, eventOf({ ...service, ...instance, name: name ?? service.name }))
    return { odooInstance: shown(instance) }
  },
  audited: ({ envVars }) => ({ keys: (envVars ?? []).map(({ key }) => key) }),
})
