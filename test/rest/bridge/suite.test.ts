import { createOdooAccount } from '../../../src/domain/odoo/odoo-account/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { bridgeDialect } from '../../../src/rest/bridge/index.ts'
import { signIn } from '../../support/person.ts'
import { describeDialect } from '../dialect-suite.ts'

const settings = { name: 'ERP', url: 'http://127.0.0.1:9', database: 'acme', login: 'admin', secret: 'admin-password' }

describeDialect({
  dialect: bridgeDialect,
  async keys(app, owner) {
    const { odooAccount } = await execute({ app, caller: owner, requestId: 'test' }, createOdooAccount, settings)
    const bound = { kind: 'BRIDGE', odooAccountId: odooAccount.id }
    return { READ: { ...bound, scope: 'READ' }, WRITE: { ...bound, scope: 'WRITE' }, ADMIN: { ...bound, scope: 'ADMIN' } }
  },
  textOf: (body) => (body as { error?: unknown } | null)?.error,
  async populate({ app, call }, { owner }) {
    const { odooAccount } = await execute({ app, caller: owner, requestId: 'test' }, createOdooAccount, settings)
    const connection_id = odooAccount.id
    const { accessToken: key } = await signIn(app, owner)
    await call('POST', '/speed-test', { key, body: { type: 'light', connection_id } })
    const made = await call('POST', '/bridge/keys', { key, body: { name: 'Sheet', connection_id } })
    return { connection_id, key_id: made.body.data.id }
  },
  bodies: ({ connection_id }) => ({
    // A method that a key with the scope READ may not call.
    call: { model: 'sale.order', method: 'write', args: [[1], {}] },
    createKey: { name: 'Sheet', connection_id },
    runSpeedTest: { type: 'light', connection_id },
  }),
})
