/**
 * The driver for Odoo against the stand-in, by both transports, and against a real server if there is one: with `ODOO_TEST_URL`,
 * `ODOO_TEST_DATABASE`, `ODOO_TEST_LOGIN` and `ODOO_TEST_PASSWORD`, and `ODOO_TEST_TRANSPORT` (JSON_RPC or JSON_2).
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { OdooCall, OdooConnection } from '../../src/domain/odoo/odoo-account/ports.ts'
import type { OutgoingHttp } from '../../src/domain/webhooks/endpoint/ports.ts'
import { createHttpOutgoing } from '../../src/drivers/http/index.ts'
import { createOdoo } from '../../src/drivers/odoo/index.ts'
import { createEgressGuard } from '../../src/platform/egress.ts'
import { raise, startOdoo } from '../support/odoo.ts'

type Target = OdooConnection & { close(): Promise<void> }

const limits = { timeoutMs: 30_000, maxAnswerBytes: 5_000_000 }
const { ODOO_TEST_URL, ODOO_TEST_DATABASE, ODOO_TEST_LOGIN, ODOO_TEST_PASSWORD, ODOO_TEST_TRANSPORT } = process.env

const standIn = async (transport: 'JSON_RPC' | 'JSON_2'): Promise<Target> => {
  const { url, database, login, password, apiKey, close } = await startOdoo()
  return { key: 'stand-in', url, isLocal: false, database, login, secret: transport === 'JSON_2' ? apiKey : password, transport, close }
}

const real = async (): Promise<Target> => ({
  ...{ key: 'real', url: ODOO_TEST_URL!, isLocal: false, database: ODOO_TEST_DATABASE!, login: ODOO_TEST_LOGIN! },
  ...{ secret: ODOO_TEST_PASSWORD!, transport: ODOO_TEST_TRANSPORT === 'JSON_2' ? 'JSON_2' : 'JSON_RPC', close: async () => {} },
})

function describeOdoo(title: string, start: () => Promise<Target>, isThere = true): void {
  describe.skipIf(!isThere)(title, () => {
    const http = createHttpOutgoing({ guard: createEgressGuard({ allow: ['0.0.0.0/0', '::/0'] }) })
    const odoo = createOdoo({ remote: http, local: http })
    let target: Target
    beforeAll(async () => {
      target = await start()
    })
    afterAll(async () => {
      await http.close()
      await target?.close()
    })
    const call = (
      model: string,
      method: string,
      args: unknown[] = [],
      kwargs: OdooCall['kwargs'] = {},
      own: Partial<OdooConnection> = {},
    ) => odoo.call({ ...target, ...own }, { model, method, args, kwargs, isRead: false }, limits)
    const failure = (code: string, message: unknown = expect.any(String)) => expect.objectContaining({ name: 'PortError', code, message })

    it('says its version, and accepts the login', async () => {
      expect(await odoo.version(target, limits)).toMatch(/^(saas~)?\d+/)
      await odoo.logIn(target, limits)
    })

    it('refuses a wrong secret, and a database that it does not have', async () => {
      await expect(odoo.logIn({ ...target, secret: 'wrong' }, limits)).rejects.toEqual(failure('LOGIN_REFUSED'))
      await expect(call('res.partner', 'search', [[]], {}, { key: 'wrong', secret: 'wrong' })).rejects.toEqual(failure('LOGIN_REFUSED'))
      const lost = odoo.logIn({ ...target, database: 'no-such-database' }, limits)
      await expect(lost).rejects.toEqual(failure('NO_DATABASE', expect.not.stringMatching(/socket|host|port|PGSQL/)))
    })

    it('creates, reads, writes and deletes a record', async () => {
      const created = await call('res.partner', 'create', [[{ name: 'Quayside test' }]])
      const [id] = [created].flat() as number[]
      expect(await call('res.partner', 'read', [[id], ['name']])).toEqual([{ id, name: 'Quayside test' }])
      expect(await call('res.partner', 'write', [[id], { name: 'Quayside' }])).toBe(true)
      expect(await call('res.partner', 'search_read', [[['id', '=', id]]], { fields: ['name'] })).toEqual([{ id, name: 'Quayside' }])
      expect(await call('res.partner', 'search_count', [[['id', '=', id]]])).toBe(1)
      expect(await call('res.partner', 'unlink', [[id]])).toBe(true)
      expect(await call('res.partner', 'read', [[id], ['name']])).toEqual([])
    })

    it('has errors of every kind, in its own words and without a traceback', async () => {
      const quiet = expect.not.stringMatching(/Traceback|File "/)
      await expect(call('no.model', 'read', [[1]])).rejects.toEqual(failure('NOT_FOUND', quiet))
      await expect(call('res.partner', 'no_such_method', [[1]])).rejects.toEqual(failure('NOT_FOUND', quiet))
      await expect(call('res.partner', 'search_read', [[]], { fields: ['no_such_field'], limit: 1 })).rejects.toEqual(
        failure('REFUSED', quiet),
      )
      await expect(call('res.partner', '_name_search', [])).rejects.toEqual(failure('ACCESS', quiet))
    })
  })
}

it.each(['JSON_RPC', 'JSON_2'] as const)('shows nobody the secret that Odoo repeats, by %s', async (transport) => {
  const http = createHttpOutgoing({ guard: createEgressGuard({ allow: ['127.0.0.0/8'] }) })
  const server = await startOdoo()
  const { url, database, login } = server
  const secret = transport === 'JSON_2' ? server.apiKey : server.password
  const connection = { key: null, url, isLocal: false, database, login, secret, transport }
  server.methods.set('res.users.repeat', () => raise('odoo.exceptions.UserError', `Wrong: ('acme', 2, '${secret}')`))
  const call = { model: 'res.users', method: 'repeat', args: [], kwargs: {}, isRead: false }
  const called = createOdoo({ remote: http, local: http }).call(connection, call, limits)
  await expect(called).rejects.toThrow(/^Wrong: \('acme', 2, '…'\)$/)
  await http.close()
  await server.close()
})

it('sends nothing by JSON-2 if a parameter has a positional and a named value', async () => {
  const http = createHttpOutgoing({ guard: createEgressGuard({ allow: ['127.0.0.0/8'] }) })
  const server = await startOdoo()
  const { url, database, login, apiKey } = server
  const connection = { key: null, url, isLocal: false, database, login, secret: apiKey, transport: 'JSON_2' } as const
  const call = { model: 'res.partner', method: 'write', args: [[1], { name: 'a' }], kwargs: { ids: [2] }, isRead: false }
  const called = createOdoo({ remote: http, local: http }).call(connection, call, limits)
  await expect(called).rejects.toMatchObject({ code: 'POSITIONAL', message: expect.stringContaining('ids of write') })
  expect(server.calls).toEqual([])
  await http.close()
  await server.close()
})

describeOdoo('the stand-in by JSON-RPC', () => standIn('JSON_RPC'))
describeOdoo('the stand-in by JSON-2', () => standIn('JSON_2'))
describeOdoo(
  ODOO_TEST_URL ? 'a real Odoo' : 'a real Odoo, which is skipped because ODOO_TEST_URL is not set (issue 21)',
  real,
  ODOO_TEST_URL !== undefined,
)

describe('answers that take long to parse', () => {
  const connection: OdooConnection = {
    ...{ key: null, url: 'https://erp.example.com', isLocal: false, database: 'acme', login: 'admin', secret: 'secret' },
    transport: 'JSON_2',
  }
  const read = { model: 'sale.order', method: 'search_read', args: [], kwargs: {}, isRead: true }
  const answering = (text: string) => {
    const post = async () => ({ type: 'response', status: 200, headers: {}, body: Buffer.from(text) })
    const http = { post } as unknown as OutgoingHttp
    return createOdoo({ remote: http, local: http })
  }

  it('are parsed in turns of the event loop of their own, when they come at once', async () => {
    let turn = 0
    let counting = true
    const count = () => {
      turn++
      if (counting) setImmediate(count)
    }
    setImmediate(count)
    const odoo = answering(JSON.stringify([{ text: 'x'.repeat(200_000) }]))
    const turns = await Promise.all(Array.from({ length: 10 }, () => odoo.call(connection, read, limits).then(() => turn)))
    counting = false
    expect(new Set(turns).size).toBe(10)
  })

  it('are refused for the number of their values, before they are parsed', async () => {
    const text = `[${'{},'.repeat(500_000)}{}]`
    await expect(answering(text).call(connection, read, limits)).rejects.toMatchObject({
      code: 'TOO_LARGE',
      message: 'The answer of Odoo has more than 500000 JSON values. Ask for fewer records or fields.',
    })
    const most = JSON.stringify(Array.from({ length: 499_998 }, (_, n) => n))
    expect(await answering(most).call(connection, read, limits)).toHaveLength(499_998)
  })
})
