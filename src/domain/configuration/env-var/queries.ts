import { z } from 'zod'
import type { EnvVar } from '../../../generated/prisma/client.ts'
import { defineQuery, visible } from '../../../platform/command.ts'
import { row, type Sql, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { defineListing, type Reader } from '../../../platform/listing.ts'
import { type Slice, sliceFrom, sliceInput } from '../../../platform/page.ts'
import { valueIdentity } from './model.ts'

export const envVarListing = defineListing({
  type: 'EnvVar',
  noun: 'environment variable',
  permission: 'view:secrets',
  order: 'oldest_first',
  nameColumn: 'key',
  audited: ['key', 'fingerprint', 'isSecret', 'buildTime', 'runTime', 'webServiceId'],
})

/** Env vars of many services in one statement, by key. */
export const envVarsByService = (reader: Reader, serviceIds: readonly string[]): Promise<EnvVar[][]> =>
  envVarListing.readBelow(reader, { parent: 'webServiceId', parentIds: serviceIds, orderBy: sql`t.key collate "C"` })

/** The number of bytes of the values that `envVarsByService` reads. */
export const envVarBytes = (serviceIds: readonly string[]): Sql =>
  sql`select sum(octet_length(value))::float8 as bytes from env_var where web_service_id = any(${serviceIds}::uuid[])`

export const listEnvVars = defineQuery({
  name: 'envVars',
  description: 'All environment variables of a service, sorted by key. Fails with `not_found` if the service does not exist.',
  permission: 'view:secrets',
  ids: { webServiceId: 'WebService' },
  input: z.object({ webServiceId: z.string() }),
  async run(read, { webServiceId }): Promise<EnvVar[]> {
    const { tx, caller } = read
    const service = await row(
      tx,
      sql`select 1 as found from web_service s where s.id = ${webServiceId}::uuid and ${visible(caller, sql`s`)}`,
    )
    if (!service) throw errors.not_found({ field: 'webServiceId' })
    return (await envVarsByService(read, [webServiceId]))[0]!
  },
})

export const sliceEnvVars = defineQuery({
  name: 'envVarSlice',
  description: 'Environment variables of a service by offset, with their total number.',
  permission: 'view:secrets',
  ids: { webServiceId: 'WebService' },
  input: z.object({ webServiceId: z.string(), ...sliceInput }),
  async run(read, { webServiceId, ...slice }): Promise<Slice<EnvVar>> {
    return sliceFrom(await listEnvVars.run(read, { webServiceId }), slice)
  },
})

export const plainEnvVarValues = defineQuery({
  name: 'plainEnvVarValues',
  description: 'Values of environment variables, by ID. Secret variables, and variables not visible to the caller, are omitted.',
  permission: 'view:secrets',
  ids: { 'ids.*': 'EnvVar' },
  input: z.object({ ids: z.array(z.string()) }),
  async run({ app, tx, caller }, { ids }): Promise<Map<string, string>> {
    const found = await envVarListing.read(
      { tx, caller, columns: ['organizationId', 'value'] },
      sql`t.id = any(${ids}::uuid[]) and ${visible(caller, sql`t`)} and not t.is_secret`,
    )
    const values = new Map<string, string>()
    // One at a time: the first call reads the organization's key for the others.
    for (const { id, organizationId, value } of found) values.set(id, await app.keyring.open(tx, organizationId, valueIdentity(id), value))
    return values
  },
})

export const findEnvVar = defineQuery({
  name: 'envVar',
  description: 'Environment variable with the given ID, optionally only if it belongs to the given service. Null if it does not exist.',
  permission: 'view:secrets',
  ids: { id: 'EnvVar', webServiceId: 'WebService' },
  input: z.object({ id: z.string(), webServiceId: z.string().nullish() }),
  run: (read, { id, webServiceId }) =>
    envVarListing.findOne(
      read,
      sql`t.id = ${id}::uuid and (${webServiceId ?? null}::uuid is null or t.web_service_id = ${webServiceId ?? null}::uuid)`,
    ),
})
