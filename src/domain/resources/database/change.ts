/** Changes of existing databases: settings, password, and moving services from one database to another. */
import { z } from 'zod'
import type { Database } from '../../../generated/prisma/client.ts'
import { changes, defineCommand } from '../../../platform/command.ts'
import { assignments, row, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { nameSchema } from '../../../platform/name.ts'
import type { Work } from '../../../platform/work.ts'
import { letFollow, resourceTopic } from '../resource/index.ts'
import { moveBindings, resourceBindingCreated } from '../resource-binding/index.ts'
import { defaultMaxConnections, maxConnectionsSchema, shown } from './commands.ts'
import { databaseUpdated, eventOf } from './events.ts'
import { lockDatabase } from './lock.ts'
import { newPassword, passwordIdentity, urlIdentity, urlOf } from './model.ts'
import { mergedSettings, settingsSchema } from './settings.ts'

export const updateDatabase = defineCommand({
  name: 'updateDatabase',
  description:
    'Updates the name, the connection limit or the server settings of a database. Omitted settings keep their value, and null resets one to its default. The running server applies the changes at once, except those that need a restart: see `pendingRestart`. An update that changes nothing returns the database unchanged.',
  permission: 'manage:databases',
  ids: { id: 'Database' },
  targetType: 'Database',
  target: lockDatabase,
  input: z.object({ name: nameSchema.optional(), maxConnections: maxConnectionsSchema.nullish(), settings: settingsSchema.nullish() }),
  emits: [databaseUpdated],
  async run(work, input, target: Database) {
    const wanted = {
      name: input.name,
      maxConnections: input.maxConnections === null ? defaultMaxConnections : input.maxConnections,
      settings: input.settings === undefined ? undefined : mergedSettings(target.settings as Record<string, string>, input.settings),
    }
    if (!changes(target, wanted)) return { database: shown(target) }
    const isApplied = wanted.maxConnections !== undefined || wanted.settings !== undefined
    return { database: shown(await updated(work, target, { ...wanted, revision: target.revision + (isApplied ? 1 : 0) })) }
  },
})

async function updated(work: Work, { id }: Database, data: Record<string, unknown>): Promise<Database> {
  const database = (await row<Database>(
    work.tx,
    sql`update database set ${assignments(data)}, next_start_at = null, version = version + 1 where id = ${id}::uuid returning *`,
  ))!
  await publish(work, databaseUpdated, eventOf(database))
  work.wake('database', resourceTopic(id))
  await letFollow(work, id)
  return database
}

export const rotateDatabasePassword = defineCommand({
  name: 'rotateDatabasePassword',
  description:
    'Replaces the password of a database. The former password is refused as soon as the running server has applied the new one. Open connections stay open. Connected services receive the new URL with their next deployment: until then `pendingConfig` lists it.',
  permission: 'manage:databases',
  ids: { id: 'Database' },
  targetType: 'Database',
  target: lockDatabase,
  input: z.object({}),
  emits: [databaseUpdated],
  async run(work, _input, target: Database) {
    const { id, organizationId } = target
    const password = newPassword()
    const url = urlOf(target, password)
    const seal = (identity: string, plain: string) => work.app.keyring.seal(work.tx, organizationId, identity, plain)
    const database = await updated(work, target, {
      password: await seal(passwordIdentity(id), password),
      url: await seal(urlIdentity(id), url),
      urlFingerprint: await work.app.keyring.fingerprint(work.tx, organizationId, url),
      credentialsVersion: target.credentialsVersion + 1,
      credentialsChangedAt: sql`app_now()`,
      credentialsChangedBy: work.caller.subject.name,
      revision: target.revision + 1,
    })
    return { database: shown(database) }
  },
})

export const replaceDatabase = defineCommand({
  name: 'replaceDatabase',
  description:
    'Moves all services that are connected to a database to another database of the same environment, for example to a restored one. They receive the URL of the other database with their next deployment. Both databases stay as they are.',
  permission: 'manage:databases',
  ids: { fromDatabaseId: 'Database', toDatabaseId: 'Database' },
  targetType: 'Database',
  target: (work, { fromDatabaseId }) => lockDatabase(work, { id: fromDatabaseId! }),
  input: z.object({ toDatabaseId: z.string() }),
  emits: [resourceBindingCreated],
  async run(work, { toDatabaseId }, from: Database) {
    const to = await lockDatabase(work, { id: toDatabaseId })
    if (!to) throw errors.not_found({ field: 'toDatabaseId' })
    if (to.id === from.id) throw errors.invalid_input({ field: 'toDatabaseId', text: 'toDatabaseId: must be another database' })
    if (to.environmentId !== from.environmentId) {
      const text = 'toDatabaseId: the database belongs to another environment'
      throw errors.invalid_input({ field: 'toDatabaseId', text })
    }
    return { resourceBindings: await moveBindings(work, from, to) }
  },
  audited: ({ toDatabaseId }, { resourceBindings }) => ({ toDatabaseId, resourceBindings: resourceBindings.length }),
})
