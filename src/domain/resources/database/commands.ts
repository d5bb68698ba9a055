import { z } from 'zod'
import type { Database, Environment } from '../../../generated/prisma/client.ts'
import { defineCommand } from '../../../platform/command.ts'
import { newRow, row, sql } from '../../../platform/db/index.ts'
import { errors, PortError } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { newId } from '../../../platform/id.ts'
import { nameSchema, slugFrom } from '../../../platform/name.ts'
import { insertWithSlug } from '../../../platform/slug.ts'
import type { App, Work } from '../../../platform/work.ts'
import { environmentCreated, placeFor } from '../../apps/environment/index.ts'
import { chosenPlan } from '../../apps/plan/index.ts'
import { projectCreated } from '../../apps/project/index.ts'
import { keySchema } from '../../configuration/variable/index.ts'
import { choosePort, insertResource, lifecycleCommands, takenPorts } from '../resource/index.ts'
import { connectResource, disconnectAll, resourceBindingCreated, resourceBindingDeleted } from '../resource-binding/index.ts'
import { bindableDatabases } from './bound-value.ts'
import { databaseCreated, eventOf } from './events.ts'
import { lockDatabase } from './lock.ts'
import { nameOf, newPassword, passwordIdentity, superuserIdentity, urlIdentity, urlOf } from './model.ts'
import { databasePlans } from './plans.ts'
import { type DatabaseOrigin, type DatabasePlace, databaseEngine } from './ports.ts'
import { mergedSettings, settingsSchema } from './settings.ts'

/** A row without its sealed values, as results contain it. */
export type DatabaseRow = Omit<Database, 'password' | 'superuserPassword' | 'url' | 'urlFingerprint'>

export const shown = ({ password, superuserPassword, url, urlFingerprint, ...database }: Database): DatabaseRow => database

export const defaultMaxConnections = 50
export const maxConnectionsSchema = z.number().int().min(1).max(500)

type Prepared = { place: DatabasePlace | PortError }

/** Where a database is going to run, or why it cannot. Asked before the transaction, because the engine looks for programs and free ports. */
export async function prepareDatabase(app: App, origin: DatabaseOrigin): Promise<Prepared> {
  try {
    return { place: await databaseEngine.use(app).place(origin, await takenPorts(app)) }
  } catch (error) {
    if (error instanceof PortError) return { place: error }
    throw error
  }
}

export const createDatabase = defineCommand({
  name: 'createDatabase',
  description:
    'Creates a PostgreSQL database and returns it with the status `CREATING`. Its address and credentials are valid as soon as the status is `RUNNING`. The database belongs to the given environment or, by default, to the production environment of the project. Fails with `unavailable` if PostgreSQL is not installed on the machine; the message contains the command that installs it.',
  permission: 'manage:databases',
  ids: { projectId: 'Project', environmentId: 'Environment' },
  targetType: 'Database',
  input: z.object({
    projectId: z.string().nullish(),
    environmentId: z.string().nullish(),
    name: nameSchema,
    planId: z.string().nullish(),
    maxConnections: maxConnectionsSchema.nullish(),
    settings: settingsSchema.nullish(),
  }),
  emits: [databaseCreated, projectCreated, environmentCreated],
  prepare: ({ app }) => prepareDatabase(app, 'new'),
  async run(work, input, _target, prepared) {
    const plan = chosenPlan(databasePlans, input.planId)
    const environment = await placeFor(work, input)
    const database = await insertDatabase(work, {
      environment,
      name: input.name,
      maxConnections: input.maxConnections ?? plan?.maxConnections ?? defaultMaxConnections,
      settings: mergedSettings({}, input.settings ?? {}),
      ...prepared,
    })
    await publish(work, databaseCreated, eventOf(database))
    return { database: shown(database) }
  },
})

export type NewDatabase = Prepared & {
  environment: Pick<Environment, 'id' | 'organizationId' | 'projectId'>
  name: string
  maxConnections: number
  settings: Record<string, string>
}

/** Adds the rows of a database, which the supervisor then creates. Throws `unavailable` if there is no place or no port is free. */
export async function insertDatabase(work: Work, { environment, name, maxConnections, settings, place }: NewDatabase): Promise<Database> {
  if (place instanceof PortError) throw errors.unavailable({ text: place.message, cause: place })
  const id = newId()
  const port = place.ownsPort ? await choosePort(work, { ...place, noun: 'database', setting: 'DATABASE_PORTS' }) : place.candidates[0]!
  await insertResource(work, { id, type: 'Database', environment, ...(place.ownsPort ? { port } : {}) })
  const password = newPassword()
  const { organizationId, projectId, id: environmentId } = environment
  const database = await insertWithSlug({ requested: null, generated: slugFrom(name, 'database') }, async (slug) => {
    const databaseName = nameOf(slug, id, place.ownsPort)
    const address = { host: place.host, port, databaseName, username: databaseName }
    const url = urlOf(address, password)
    const seal = (identity: string, plain: string) => work.app.keyring.seal(work.tx, organizationId, identity, plain)
    const data = {
      id,
      organizationId,
      projectId,
      environmentId,
      name,
      slug,
      postgresVersion: place.version,
      desiredState: 'RUNNING' as const,
      status: 'CREATING' as const,
      ...address,
      ownsPort: place.ownsPort,
      password: await seal(passwordIdentity(id), password),
      superuserPassword: await seal(superuserIdentity(id), newPassword()),
      url: await seal(urlIdentity(id), url),
      urlFingerprint: await work.app.keyring.fingerprint(work.tx, organizationId, url),
      credentialsChangedBy: work.caller.subject.name,
      maxConnections,
      settings,
    }
    return row<Database>(work.tx, sql`insert into database ${newRow(data)} on conflict (environment_id, slug) do nothing returning *`)
  })
  work.wake('database')
  return database
}

export const {
  start: startDatabase,
  stop: stopDatabase,
  restart: restartDatabase,
  remove: deleteDatabase,
} = lifecycleCommands({
  type: 'Database',
  table: 'database',
  name: 'database',
  Name: 'Database',
  noun: 'database',
  shown,
  permissions: { manage: 'manage:databases', delete: 'delete:databases' },
  disconnect: disconnectAll,
  disconnectEmits: [resourceBindingDeleted],
})

export const connectDatabase = defineCommand({
  name: 'connectDatabase',
  description:
    'Connects a database to a service of the same environment, which receives its URL as a secret variable from the next deployment on. Fails with `key_taken` if another connected resource already gives the service a variable of this name.',
  permission: 'manage:databases',
  ids: { databaseId: 'Database', webServiceId: 'WebService' },
  targetType: 'Database',
  target: (work, { databaseId }) => lockDatabase(work, { id: databaseId! }),
  input: z.object({ webServiceId: z.string(), alias: keySchema.nullish() }),
  emits: [resourceBindingCreated],
  run: (work, { webServiceId, alias }, database: Database) =>
    connectResource(work, { kind: bindableDatabases, resource: database, webServiceId, alias: alias ?? null }),
  audited: (_input, { resourceBinding }) => ({ resourceBindingId: resourceBinding.id, variables: resourceBinding.variables }),
})
