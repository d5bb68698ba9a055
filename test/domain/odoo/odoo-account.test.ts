/** Odoo accounts through the GraphQL API: saved only when they work, with an answer that says what is wrong. */
import { afterEach, describe, expect, it } from 'vitest'
import { row, run, sql } from '../../../src/platform/db/index.ts'
import { decodeId, newId } from '../../../src/platform/id.ts'
import { raise } from '../../support/odoo.ts'
import { startReceiver } from '../../support/receiver.ts'
import { createText, useOdoo } from './support.ts'

const used = useOdoo()
afterEach(() => {
  used.odoo.misbehave = null
  used.odoo.methods.clear()
})

const fields = 'id name url database login transport odooVersion version webService { id }'
const show = async (id: string) => (await used.run(`query ($id: ID!) { odooAccount(id: $id) { ${fields} } }`, { id })).odooAccount
const updateText = 'mutation ($input: UpdateOdooAccountInput!) { updateOdooAccount(input: $input) { odooAccount { version } } }'
const create = (input: Record<string, unknown>) => used.refused(createText, { input: { ...used.settings(), ...input } })
const update = (input: Record<string, unknown>) => used.refused(updateText, { input })
const stored = (id: string) =>
  row<{ secret: Uint8Array; database: string }>(
    used.app.db,
    sql`select * from odoo_account where id = ${decodeId('OdooAccount', id)}::uuid`,
  )

describe('an account', () => {
  it('is saved with the version of the server, its secret sealed and never shown', async () => {
    const { id } = await used.account()
    expect(await show(id)).toEqual({
      ...{ id, name: 'ERP', url: used.odoo.url, database: 'acme', login: 'admin', transport: 'JSON_RPC', odooVersion: '17.0' },
      ...{ version: 1, webService: null },
    })
    expect(Buffer.from((await stored(id))!.secret).toString('latin1')).not.toContain(used.odoo.password)
    const { odooAccounts, node } = await used.run(
      'query ($id: ID!) { odooAccounts(last: 1) { nodes { id } totalCount } node(id: $id) { ... on OdooAccount { name } } }',
      { id },
    )
    expect([odooAccounts.nodes, node]).toEqual([[{ id }], { name: 'ERP' }])
    expect(await used.refused('{ __type(name: "OdooAccount") { fields { name } } odooAccounts { nodes { secret } } }')).toBeDefined()
  })

  it('is changed in what is given, and its version of the server is read again', async () => {
    const { id } = await used.account()
    expect(await update({ id, name: 'Sales', secret: used.odoo.apiKey })).toBeUndefined()
    expect(await show(id)).toMatchObject({ name: 'Sales', login: 'admin', version: 2 })
    expect(await update({ id, ifVersion: 1, name: 'Late' })).toMatchObject({ code: 'version_conflict' })
    expect(await update({ id, secret: 'wrong' })).toMatchObject({ code: 'odoo_access_error', field: 'secret' })
    expect(await show(id)).toMatchObject({ name: 'Sales', version: 2 })
  })

  it('keeps its secret from other servers', async () => {
    const { id } = await used.account()
    const other = await startReceiver({ script: () => ({ status: 404 }) })
    expect(await update({ id, url: other.url })).toMatchObject({ code: 'invalid_input', field: 'secret' })
    expect(other.requests).toEqual([])
    expect(await update({ id, url: other.url, secret: 'another' })).toMatchObject({ code: 'odoo_unreachable' })
    expect(other.requests.length).toBeGreaterThan(0)
    expect(await update({ id, url: `${used.odoo.url}/` })).toBeUndefined()
    await other.close()
  })

  it('is deleted', async () => {
    const { id } = await used.account()
    const { deleteOdooAccount } = await used.run('mutation ($id: ID!) { deleteOdooAccount(input: {id: $id}) { deletedId } }', { id })
    expect(deleteOdooAccount).toEqual({ deletedId: id })
    expect(await show(id)).toBeNull()
  })

  it('is not seen by another organization, nor by a caller that is limited to a project', async () => {
    const { id } = await used.account()
    for (const caller of [used.other.owner, used.tenant.key('ADMIN', newId())]) {
      expect(
        (await used.run('query ($id: ID!) { odooAccount(id: $id) { id } odooAccounts { totalCount } }', { id }, caller)).odooAccount,
      ).toBeNull()
      for (const source of [updateText, 'mutation ($input: DeleteOdooAccountInput!) { deleteOdooAccount(input: $input) { deletedId } }'])
        expect(await used.refused(source, { input: { id } }, caller)).toMatchObject({ code: 'not_found' })
    }
    const asked = used.odoo.logins
    expect(await used.refused(createText, { input: used.settings() }, used.tenant.key('ADMIN', newId()))).toMatchObject({
      code: 'forbidden',
    })
    expect(used.odoo.logins).toBe(asked)
  })

  it('takes an API key for JSON-2, which needs no JSON-RPC', async () => {
    const { id } = await used.account({ transport: 'JSON_2', secret: used.odoo.apiKey })
    expect(await show(id)).toMatchObject({ transport: 'JSON_2', odooVersion: '17.0' })
    expect(await create({ transport: 'JSON_2' })).toMatchObject({ code: 'odoo_access_error', field: 'secret' })
    expect(await create({ transport: 'JSON_2', secret: used.odoo.apiKey, database: 'nope' })).toMatchObject({
      code: 'odoo_not_found',
      field: 'database',
    })
  })
})

describe('an account is refused, and says what is wrong', () => {
  it.each([
    [{ secret: 'wrong' }, { code: 'odoo_access_error', field: 'secret' }],
    [{ login: 'nobody' }, { code: 'odoo_access_error', field: 'secret' }],
    [{ database: 'nope' }, { code: 'odoo_not_found', field: 'database', message: 'Odoo has no such database.' }],
    [{ url: 'http://127.0.0.1:1' }, { code: 'odoo_unreachable', field: 'url' }],
    [{ url: 'http://10.0.0.1' }, { code: 'odoo_unreachable', field: 'url', message: expect.stringContaining('EGRESS_ALLOW') }],
    [{ url: 'http://user:password@127.0.0.1' }, { code: 'invalid_input', field: 'url' }],
    [{ url: 'erp.example.com' }, { code: 'invalid_input', field: 'url' }],
    [{ url: 'http://127.0.0.1/?x=1' }, { code: 'invalid_input', field: 'url' }],
    [{ url: null }, { code: 'invalid_input', field: 'url' }],
    [{ webServiceId: `svc_${'0'.repeat(26)}` }, { code: 'invalid_input', field: 'url' }],
    [
      { url: null, webServiceId: `svc_${'0'.repeat(26)}` },
      { code: 'not_found', field: 'webServiceId' },
    ],
    [{ name: '' }, { code: 'invalid_input', field: 'name' }],
    [{ database: '' }, { code: 'invalid_input', field: 'database' }],
  ])('%o', async (input, error) => {
    expect(await create(input)).toMatchObject(error)
  })

  it('a server that is no Odoo, redirects or fails', async () => {
    const html = '<!doctype html><title>Hello</title>'
    const answers: [number, Record<string, string>, string, string][] = [
      [200, {}, html, 'does not answer as Odoo does'],
      [404, {}, html, 'does not answer as Odoo does'],
      [200, {}, '{"hello": "world"}', 'JSON that is no JSON-RPC'],
      [200, {}, 'null', 'JSON that is no JSON-RPC'],
      [301, { location: 'https://erp.example.com/odoo?token=1' }, '', 'redirects to https://erp.example.com.'],
      [502, {}, html, 'status 502'],
    ]
    for (const [status, headers, body, text] of answers) {
      used.odoo.misbehave = (_request, response) => response.writeHead(status, headers).end(body)
      expect(await create({})).toMatchObject({ code: 'odoo_unreachable', field: 'url', message: expect.stringContaining(text) })
    }
  })

  it('a login that has not the right to read its own context, by JSON-2', async () => {
    used.odoo.methods.set('res.users.context_get', () => raise('odoo.exceptions.AccessError', 'You are not allowed.', 403))
    expect(await create({ transport: 'JSON_2', secret: used.odoo.apiKey })).toMatchObject({ code: 'odoo_access_error', field: 'login' })
  })
})

describe('a service that runs here', () => {
  const createService = async (name: string) => {
    const { createProject } = await used.run('mutation ($name: String!) { createProject(input: {name: $name}) { project { id } } }', {
      name,
    })
    const { createWebService } = await used.run(
      `mutation ($p: ID!) { createWebService(input: {projectId: $p, name: "ERP", repositoryUrl: "file:///srv/odoo.git"}) { webService { id slug } } }`,
      { p: createProject.project.id },
    )
    return createWebService.webService as { id: string; slug: string }
  }
  const countOrders = (odooAccountId: string) =>
    used.refused('mutation ($input: CallOdooInput!) { callOdoo(input: $input) { data } }', {
      input: { odooAccountId, model: 'sale.order', method: 'search_count' },
    })

  it('is reached through the router, whatever may be reached outside', async () => {
    const service = await createService('Odoo')
    const allowed = used.app.settings.EGRESS_ALLOW.splice(0)
    const saved = { url: null, webServiceId: service.id }
    used.odoo.misbehave = (_request, response) => response.writeHead(404).end()
    expect(await create(saved)).toMatchObject({ code: 'odoo_unreachable', field: 'webServiceId' })
    used.odoo.misbehave = null
    const { id } = await used.account(saved)
    expect(await show(id)).toMatchObject({
      webService: { id: service.id },
      url: `http://${service.slug}.localhost:${used.odoo.port}`,
      odooVersion: '17.0',
    })
    used.app.settings.EGRESS_ALLOW.push(...allowed)
  })

  it('and is deleted leaves an account that sends nothing to whoever has its address now', async () => {
    const service = await createService('Gone')
    const { id } = await used.account({ url: null, webServiceId: service.id })
    const serviceId = decodeId('WebService', service.id)
    let asked = 0
    used.odoo.misbehave = (_request, response) => {
      asked++
      response.writeHead(404).end()
    }
    const deleted = { code: 'odoo_unreachable', message: 'The service of the account was deleted.' }
    await run(used.app.db, sql`update web_service set desired_state = 'DELETED' where id = ${serviceId}::uuid`)
    expect(await countOrders(id)).toMatchObject(deleted)
    await run(used.app.db, sql`delete from web_service where id = ${serviceId}::uuid`)
    // As it is where the address of the service is one that calls may go to.
    await run(used.app.db, sql`update odoo_account set url = ${used.odoo.url} where id = ${decodeId('OdooAccount', id)}::uuid`)
    expect(await countOrders(id)).toMatchObject(deleted)
    expect(await update({ id, name: 'Renamed' })).toMatchObject({ ...deleted, field: 'webServiceId' })
    expect(await update({ id, url: used.odoo.url })).toMatchObject({ code: 'invalid_input', field: 'secret' })
    const { runSpeedTest } = await used.run(
      'mutation ($id: ID!) { runSpeedTest(input: {odooAccountId: $id, type: HEAVY}) { speedTest { status details } } }',
      { id },
    )
    expect(runSpeedTest.speedTest).toEqual({ status: 'FAILED', details: deleted.message })
    expect(asked).toBe(0)
    used.odoo.misbehave = null
    expect(await update({ id, url: used.odoo.url, secret: used.odoo.password })).toBeUndefined()
    expect(await countOrders(id)).toBeUndefined()
  })
})
