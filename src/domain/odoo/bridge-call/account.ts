/** The accounts that calls go to, with their secrets: cached for a second, so that a busy key costs one lookup a second. */
import type { ApiKeyScope, OdooAccount } from '../../../generated/prisma/client.ts'
import { ofOrganization, type Request } from '../../../platform/command.ts'
import { cacheCredentials } from '../../../platform/credential-cache.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { perApp } from '../../../platform/per-app.ts'
import { connectionOf, type OdooConnection } from '../odoo-account/index.ts'
import type { Allowance } from './model.ts'

export type CalledAccount = { id: string; connection: OdooConnection; allowance: Allowance | null }

type Bound = OdooAccount & { allowedModels: string[]; allowedMethods: string[]; scope: ApiKeyScope }

/** The account that a key is bound to, and what the key may call. Null if the key is bound to none, or no longer valid. A change of either wakes `credentials`. */
export const accountOfKey = perApp((app) =>
  cacheCredentials(app, async (apiKeyId) => {
    const found = await row<Bound>(
      app.db,
      sql`select a.*, b.allowed_models, b.allowed_methods, k.scope
          from bridge_key b
            join odoo_account a on a.organization_id = b.organization_id and a.id = b.odoo_account_id
            join api_key k on k.id = b.api_key_id
          where b.api_key_id = ${apiKeyId}::uuid and k.revoked_at is null and (k.expires_at is null or k.expires_at > app_now())`,
    )
    if (!found) return null
    const { allowedModels, allowedMethods, scope, ...account } = found
    const connection = await connectionOf(app, app.db, account)
    const holder: CalledAccount = { id: account.id, connection, allowance: { allowedModels, allowedMethods, scope } }
    return { holder, expiresInMs: null }
  }),
)

/** An account that the caller may see. Null if there is none. */
export async function visibleAccount({ app, caller }: Request, id: string): Promise<CalledAccount | null> {
  const account = await row<OdooAccount>(
    app.db,
    sql`select t.* from odoo_account t where t.id = ${id}::uuid and ${ofOrganization(caller, sql`t`)}`,
  )
  return account && { id: account.id, connection: await connectionOf(app, app.db, account), allowance: null }
}
