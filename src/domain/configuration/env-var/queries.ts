import { z } from 'zod'
import type { EnvVar } from '../../../generated/prisma/client.ts'
import { defineQuery, visible } from '../../../platform/command.ts'
import { row, rows, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { type Slice, sliceFrom, sliceInput } from '../../../platform/page.ts'
import { valueIdentity } from './model.ts'

/** Env vars of many services in one statement, by key. */
export async function envVarsByService(tx: Tx, serviceIds: readonly string[]): Promise<EnvVar[][]> {
  const found = await rows<EnvVar>(
    tx,
    sql`select * from env_var where web_service_id = any(${serviceIds}::uuid[]) order by key collate "C"`,
  )
  const byService = Map.groupBy(found, (item) => item.webServiceId)
  return serviceIds.map((id) => byService.get(id) ?? [])
}

/** The number of bytes that `envVarsByService` reads. */
export const envVarBytes = (serviceIds: readonly string[]): Sql =>
  sql`select sum(octet_length(value))::float8 as bytes from env_var where web_service_id = any(${serviceIds}::uuid[])`

export const listEnvVars = defineQuery({
  name: 'envVars',
  description: 'All environment variables of a service, sorted by key. Fails with `not_found` if the service does not exist.',
  permission: 'view:secrets',
  ids: { webServiceId: 'WebService' },
  input: z.object({ webServiceId: z.string() }),
  async run({ tx, caller }, { webServiceId }): Promise<EnvVar[]> {
    const service = await row(
      tx,
      sql`select 1 as found from web_service s where s.id = ${webServiceId}::uuid and ${visible(caller, sql`s`)}`,
    )
    if (!service) throw errors.not_found({ field: 'webServiceId' })
    return (await envVarsByService(tx, [webServiceId]))[0]!
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
    const found = await rows<EnvVar>(
      tx,
      sql`select t.* from env_var t where t.id = any(${ids}::uuid[]) and ${visible(caller, sql`t`)} and not t.is_secret`,
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
  run: ({ tx, caller }, { id, webServiceId }) =>
    row<EnvVar>(
      tx,
      sql`select t.* from env_var t where t.id = ${id}::uuid and ${visible(caller, sql`t`)}
          and (${webServiceId ?? null}::uuid is null or t.web_service_id = ${webServiceId ?? null}::uuid)`,
    ),
})
