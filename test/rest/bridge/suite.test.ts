import { createOdooAccount } from '../../../src/domain/odoo/odoo-account/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { bridgeDialect } from '../../../src/rest/bridge/index.ts'
import { describeDialect } from '../dialect-suite.ts'

describeDialect({
  dialect: bridgeDialect,
  async keys(app, owner) {
    const settings = { name: 'ERP', url: 'http://127.0.0.1:9', database: 'acme', login: 'admin', secret: 'admin-password' }
    const { odooAccount } = await execute({ app, caller: owner, requestId: 'test' }, createOdooAccount, settings)
    const bound = { kind: 'BRIDGE', odooAccountId: odooAccount.id }
    return { READ: { ...bound, scope: 'READ' }, WRITE: { ...bound, scope: 'WRITE' }, ADMIN: { ...bound, scope: 'ADMIN' } }
  },
  textOf: (body) => (body as { error?: unknown } | null)?.error,
  populate: async () => ({}),
  // A method that a key with the scope READ may not call.
  bodies: () => ({ call: { model: 'sale.order', method: 'write', args: [[1], {}] } }),
})
