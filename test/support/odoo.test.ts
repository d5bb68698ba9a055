/** The stand-in for Odoo, by clients that nobody here wrote. */
import { createRequire } from 'node:module'
import OdooAwait from 'odoo-await'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { raise, type StandInOdoo, startOdoo } from './odoo.ts'

// It is CommonJS with a default export, which Node and TypeScript see differently from Vitest.
const { default: OdooJSONRpc } = createRequire(import.meta.url)('@fernandoslim/odoo-jsonrpc') as typeof import('@fernandoslim/odoo-jsonrpc')

let odoo: StandInOdoo
beforeAll(async () => {
  odoo = await startOdoo()
})
afterAll(() => odoo?.close())

describe('odoo-await, by XML-RPC', () => {
  const client = (password = odoo.password) =>
    new OdooAwait({ baseUrl: odoo.url, port: undefined, db: odoo.database, username: odoo.login, password })

  it('reads and writes', async () => {
    const own = client()
    expect(await own.connect()).toBe(2)
    const id = await own.create('res.partner', { name: 'Lumber Inc' })
    expect(await own.read('res.partner', [id], ['name'])).toEqual([{ id, name: 'Lumber Inc' }])
    expect(await own.update('res.partner', id, { name: 'Lumber' })).toBe(true)
    expect(await own.searchRead('res.partner', { name: 'Lumber' }, ['name'])).toEqual([{ id, name: 'Lumber' }])
    expect(await own.delete('res.partner', [id])).toBe(true)
    expect(await own.search('res.partner', { name: 'Lumber' })).toEqual([])
  })

  it('is refused with a wrong password, and told of errors', async () => {
    await expect(client('wrong').connect()).rejects.toMatch(/invalid credentials/)
    const own = client()
    await own.connect()
    odoo.methods.set('res.partner.raise', () => raise('odoo.exceptions.ValidationError', 'Not today.'))
    await expect(own.execute_kw('res.partner', 'raise', [[]])).rejects.toThrow('Not today.')
  })
})

describe('@fernandoslim/odoo-jsonrpc, by JSON-RPC', () => {
  const place = () => ({ baseUrl: 'http://127.0.0.1', port: odoo.port, db: odoo.database, username: odoo.login })

  it.each([
    ['an API key', () => ({ ...place(), apiKey: odoo.apiKey })],
    ['a session', () => ({ ...place(), password: odoo.password })],
  ])('reads and writes with %s', async (_title, config) => {
    const own = new OdooJSONRpc(config())
    expect(await own.connect()).toMatchObject({ uid: 2 })
    const id = await own.create('res.partner', { name: 'Lumber Inc' })
    expect(await own.read('res.partner', [id], ['name'])).toEqual([{ id, name: 'Lumber Inc' }])
    expect(await own.update('res.partner', id, { name: 'Lumber' })).toBe(true)
    expect(await own.searchRead('res.partner', [['name', '=', 'Lumber']], ['name'])).toEqual([{ id, name: 'Lumber' }])
    expect(await own.delete('res.partner', id)).toBe(true)
    await expect(own.call_kw('no.model', 'read', [[1]])).rejects.toThrow("Object no.model doesn't exist")
  })
})
