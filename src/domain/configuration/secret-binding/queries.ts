import { z } from 'zod'
import type { SecretBinding } from '../../../generated/prisma/client.ts'
import { defineQuery, visible } from '../../../platform/command.ts'
import { row, rows, sql, type Tx } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { type Slice, sliceFrom, sliceInput } from '../../../platform/page.ts'
import type { BoundService } from '../secret/index.ts'

export type NamedBinding = SecretBinding & { secretKey: string }

/** Bindings of many services in one statement, by alias, with the keys of their secrets. */
export async function bindingsByService(tx: Tx, serviceIds: readonly string[]): Promise<NamedBinding[][]> {
  const found = await rows<NamedBinding>(
    tx,
    sql`select b.*, s.key as secret_key from secret_binding b join secret s on s.id = b.secret_id
        where b.web_service_id = any(${serviceIds}::uuid[]) order by b.alias collate "C"`,
  )
  const byService = Map.groupBy(found, (binding) => binding.webServiceId)
  return serviceIds.map((id) => byService.get(id) ?? [])
}

/** Bindings of many secrets in one statement, oldest first. */
export async function bindingsBySecret(tx: Tx, secretIds: readonly string[]): Promise<SecretBinding[][]> {
  const found = await rows<SecretBinding>(tx, sql`select * from secret_binding where secret_id = any(${secretIds}::uuid[]) order by id`)
  const bySecret = Map.groupBy(found, (binding) => binding.secretId)
  return secretIds.map((id) => bySecret.get(id) ?? [])
}

/** The services that secrets are bound to, by name. */
export const servicesBoundTo = (tx: Tx, secretIds: readonly string[]): Promise<BoundService[]> =>
  rows<BoundService>(
    tx,
    sql`select distinct b.secret_id, s.id, s.name from secret_binding b join web_service s on s.id = b.web_service_id
        where b.secret_id = any(${secretIds}::uuid[]) order by s.name, s.id`,
  )

export const listSecretBindings = defineQuery({
  name: 'secretBindings',
  description:
    'All secret bindings of a service, sorted by alias, with the keys of their secrets. Fails with `not_found` if the service does not exist.',
  permission: 'view:secrets',
  ids: { webServiceId: 'WebService' },
  input: z.object({ webServiceId: z.string() }),
  async run({ tx, caller }, { webServiceId }): Promise<NamedBinding[]> {
    const service = await row(
      tx,
      sql`select 1 as found from web_service s where s.id = ${webServiceId}::uuid and ${visible(caller, sql`s`)}`,
    )
    if (!service) throw errors.not_found({ field: 'webServiceId' })
    return (await bindingsByService(tx, [webServiceId]))[0]!
  },
})

export const sliceSecretBindings = defineQuery({
  name: 'secretBindingSlice',
  description: 'Secret bindings of a service by offset, with their total number.',
  permission: 'view:secrets',
  ids: { webServiceId: 'WebService' },
  input: z.object({ webServiceId: z.string(), ...sliceInput }),
  async run(read, { webServiceId, ...slice }): Promise<Slice<NamedBinding>> {
    return sliceFrom(await listSecretBindings.run(read, { webServiceId }), slice)
  },
})
