/** A server with the Odoo bridge, a stand-in Odoo behind it, and keys for it. */
import { createApiKey } from '../../../src/domain/access/api-key/index.ts'
import { createOdooAccount } from '../../../src/domain/odoo/odoo-account/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { bridgeDialect } from '../../../src/rest/bridge/index.ts'
import { startOdoo } from '../../support/odoo.ts'
import { provideOdoo } from '../../support/odoo-driver.ts'
import { startRest, type Tenant } from '../support.ts'

export type Bridge = Awaited<ReturnType<typeof startBridge>>

export async function startBridge(settings: Record<string, string> = {}) {
  const rest = await startRest([bridgeDialect], { RATE_LIMITS: 'bridge=1000000,authentication=1000000', ...settings })
  const odoo = await startOdoo()
  const drivers = provideOdoo(rest.app, odoo.port)
  const act = (tenant: Tenant) => ({ app: rest.app, caller: tenant.owner, requestId: 'test' })
  const account = async (input: Record<string, unknown> = {}, tenant = rest.acme): Promise<string> => {
    const settings = { name: 'ERP', url: odoo.url, database: odoo.database, login: odoo.login, secret: odoo.password }
    return (await execute(act(tenant), createOdooAccount, { ...settings, ...input })).odooAccount.id
  }
  const key = async (input: Record<string, unknown> = {}, tenant = rest.acme): Promise<string> => {
    const odooAccountId = input.odooAccountId ?? (await account({}, tenant))
    const made = await execute(act(tenant), createApiKey, { name: 'sheet', kind: 'BRIDGE', scope: 'WRITE', ...input, odooAccountId })
    return made.plaintextKey!
  }
  return {
    ...rest,
    odoo,
    account,
    key,
    /** `POST /call` with a body. */
    send: (key: string, body: unknown, headers: Record<string, string> = {}) =>
      rest.call('POST', '/call', { body, headers: { 'X-API-KEY': key, ...headers } }),
    async close() {
      await rest.close()
      await drivers.close()
      await odoo.close()
    },
  }
}
