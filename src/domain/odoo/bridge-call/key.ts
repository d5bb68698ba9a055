/** What keys of the bridge are bound to: an Odoo account, and the models and methods that they may call. */
import type { ApiKey, BridgeKey } from '../../../generated/prisma/client.ts'
import { demand, ofOrganization } from '../../../platform/command.ts'
import { newRow, row, run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { onEvent, type Reaction } from '../../../platform/events.ts'
import { defineTable, type Reader } from '../../../platform/listing.ts'
import type { Work } from '../../../platform/work.ts'
import { apiKeyRevoked, type KeyBinding, type KeyBindingInput, revokeKeys } from '../../access/api-key/index.ts'
import { odooAccountDeleted } from '../odoo-account/index.ts'

export const bridgeKeyBinding: KeyBinding = {
  kind: 'BRIDGE',
  async bind(work: Work, apiKey: ApiKey, { odooAccountId, allowedModels, allowedMethods }: KeyBindingInput) {
    const { tx, caller } = work
    const refuse = (field: string, text: string) => errors.invalid_input({ field, text: `${field}: ${text}` })
    if (!odooAccountId) throw refuse('odooAccountId', 'is required for a key of kind BRIDGE')
    if (apiKey.projectId !== null) throw refuse('projectId', 'must be omitted for a key of kind BRIDGE, which belongs to no project')
    demand(caller, 'call:odoo')
    const account = await row(
      tx,
      sql`select 1 from odoo_account t where t.id = ${odooAccountId}::uuid and ${ofOrganization(caller, sql`t`)} for key share`,
    )
    if (!account) throw errors.not_found({ field: 'odooAccountId' })
    const fields = { apiKeyId: apiKey.id, organizationId: apiKey.organizationId, odooAccountId }
    await run(
      tx,
      sql`insert into bridge_key ${newRow({ ...fields, allowedModels: allowedModels ?? [], allowedMethods: allowedMethods ?? [] })}`,
    )
  },
}

const table = defineTable('BridgeKey')

/** What many keys are bound to, in one statement; null for a key that is bound to nothing. */
export async function bindingsByKey(reader: Reader, keyIds: readonly string[]): Promise<(BridgeKey | null)[]> {
  const found = new Map(
    (await table.read(reader, sql`t.api_key_id = any(${keyIds}::uuid[])`)).map((binding) => [binding.apiKeyId, binding]),
  )
  return keyIds.map((id) => found.get(id) ?? null)
}

/** Keys of an account that is deleted stay listed, as revoked ones. */
const revokeWithAccount = onEvent(
  odooAccountDeleted,
  (work, { subjectId }) =>
    revokeKeys(work, sql`id in (select api_key_id from bridge_key where odoo_account_id = ${subjectId}::uuid)`, 'Odoo account deleted'),
  { emits: [apiKeyRevoked] },
)

export const reactions: Reaction[] = [revokeWithAccount]
