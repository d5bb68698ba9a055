import { z } from 'zod'
import type { SecretBinding } from '../../../generated/prisma/client.ts'
import { defineQuery, visible } from '../../../platform/command.ts'
import { row, rows, sql, type Tx } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { defineListing, type Reader } from '../../../platform/listing.ts'
import { type Slice, sliceFrom, sliceInput } from '../../../platform/page.ts'
import type { BoundService } from '../secret/index.ts'

export type NamedBinding = SecretBinding & { secretKey: string }

export const secretBindingListing = defineListing<'SecretBinding', Record<never, never>, NamedBinding>({
  type: 'SecretBinding',
  noun: 'secret binding',
  permission: 'view:secrets',
  order: 'oldest_first',
  nameColumn: 'alias',
  audited: ['alias', 'secretId', 'webServiceId'],
  computed: { secretKey: () => sql`(select s.key from secret s where s.id = t.secret_id)` },
})

/** Bindings of many services in one statement, by alias. */
export const bindingsByService = (reader: Reader, serviceIds: readonly string[]): Promise<NamedBinding[][]> =>
  secretBindingListing.readBelow(reader, { parent: 'webServiceId', parentIds: serviceIds, orderBy: sql`t.alias collate "C"` })

/** Bindings of many secrets in one statement, oldest first. */
export const bindingsBySecret = (reader: Reader, secretIds: readonly string[]): Promise<NamedBinding[][]> =>
  secretBindingListing.readBelow(reader, { parent: 'secretId', parentIds: secretIds, orderBy: sql`t.id` })

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
  async run(read, { webServiceId }): Promise<NamedBinding[]> {
    const { tx, caller } = read
    const service = await row(
      tx,
      sql`select 1 as found from web_service s where s.id = ${webServiceId}::uuid and ${visible(caller, sql`s`)}`,
    )
    if (!service) throw errors.not_found({ field: 'webServiceId' })
    return (await bindingsByService(read, [webServiceId]))[0]!
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
