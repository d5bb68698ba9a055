/** Odoo instances from creation to deletion, with a stand-in for Odoo, or with the real source that ODOO_TEST_SOURCE names. */
import { request } from 'node:http'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { addonFiles, createOdooSource } from '../support/odoo-server/index.ts'
import { acceptance, type Data, refusalOf, until } from './support.ts'

const source = process.env.ODOO_TEST_SOURCE ? null : await createOdooSource()
// A branch whose content is something else.
await source?.branch('16.0')
await source?.git(['rm', '-rq', '.'])
await source?.commit({ README: 'Nothing.' }, 'nothing')
await source?.branch('17.0')
afterAll(() => source?.close())

const world = acceptance({ ODOO_SOURCE_URL: process.env.ODOO_TEST_SOURCE ?? source!.url })

const fields = `id status statusMessage url httpPort workers pendingSettings version webService { id slug environment { id } }
  database { id status } disk { id name }`
const read = async (id: string): Promise<Data> =>
  (await world.server.gql(`query ($id: ID!) { odooInstance(id: $id) { ${fields} } }`, { id })).odooInstance
const untilStatus = (id: string, status: string) =>
  until(`the instance is ${status}`, async () => {
    const now = await read(id)
    return now.status === status && now
  })

async function create(input: Data): Promise<{ instance: Data; deployment: Data }> {
  const { projects } = await world.server.gql('{ projects { nodes { id } } }')
  const selection = `odooInstance { ${fields} } deployment { id }`
  const made = await world.mutate('createOdooInstance', { projectId: projects.nodes[0].id, ...input }, selection)
  return { instance: made.odooInstance, deployment: made.deployment }
}

const logOf = async (deployment: Data) => (await world.log(deployment)).map(({ message }) => message).join('\n')

async function live(deployment: Data): Promise<Data> {
  const ended = await world.end(deployment)
  if (ended.status === 'LIVE') return ended
  throw new Error(`${JSON.stringify(ended.failure)}\n${await logOf(ended)}`)
}

/** Status of a request through the router. */
function ask(url: string, path: string, { upgrade = false } = {}): Promise<number> {
  const { host, port } = new URL(url)
  const key = Buffer.alloc(16).toString('base64')
  const socket = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': key, Origin: url }
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, headers: { host, ...(upgrade ? socket : {}) } })
    sent.on('upgrade', (response, tunnel) => {
      tunnel.on('error', () => {})
      tunnel.destroy()
      resolve(response.statusCode!)
    })
    sent.on('response', (response) => resolve(response.resume().statusCode!))
    sent.on('error', reject)
    sent.end()
  })
}

let erp: Data
let first: Data
beforeAll(async () => {
  const addons = await world.repository({ ...addonFiles('library'), 'requirements.txt': '# None.\n' })
  const { instance, deployment } = await create({ name: 'ERP', repositoryUrl: addons.url, envVars: [{ key: 'MODE', value: 'fast' }] })
  expect(instance).toMatchObject({ status: 'PROVISIONING', database: { status: 'CREATING' }, disk: { name: 'odoo' } })
  first = await live(deployment)
  erp = instance
})

it('is provisioned, with its addons and their environment, and answers on both ports at one address', async () => {
  const log = await logOf(first)
  for (const text of ['odoo 17.0, addons in .', 'python3 -m venv', 'Initializing the database.']) expect(log).toContain(text)
  const { url, httpPort } = await untilStatus(erp.id, 'RUNNING')
  expect(httpPort).toEqual(expect.any(Number))
  expect(await ask(url, '/web/login')).toBe(200)
  expect(await ask(url, '/websocket', { upgrade: true })).toBe(101)
  for (const path of ['/web/database/manager', '//web/%64atabase/manager']) expect(await ask(url, path)).toBe(404)
})

it('has other workers after a restart, which are pending until then, and keeps its data', async () => {
  const { odooInstance } = await world.mutate('updateOdooInstance', { id: erp.id, workers: 0 }, 'odooInstance { workers pendingSettings }')
  expect(odooInstance).toEqual({ workers: 0, pendingSettings: ['workers'] })
  const port = (await read(erp.id)).httpPort
  await world.command('restartWebService', erp.webService)
  const { url } = await until('the new server runs', async () => {
    const now = await read(erp.id)
    return now.status === 'RUNNING' && now.httpPort !== null && now.httpPort !== port && now
  })
  expect((await read(erp.id)).pendingSettings).toEqual([])
  expect([await ask(url, '/web/login'), await ask(url, '/websocket', { upgrade: true })]).toEqual([200, 101])
})

it('refuses what cannot be, and creates nothing', async () => {
  const counts = () => world.server.gql('{ webServices { totalCount } databases { totalCount } odooInstances { totalCount } }')
  const before = await counts()
  const servers = await world.mutate(
    'createServer',
    { name: 'Other', host: '127.0.0.1', port: 9, sshUser: 'deploy', authMethod: 'PASSWORD', sshPassword: 'hunter2-hunter2' },
    'server { id }',
  )
  for (const [input, code, field] of [
    [{ name: 'ab' }, 'invalid_input', 'name'],
    [{ name: 'x'.repeat(65) }, 'invalid_input', 'name'],
    [{ name: 'Shop', odooVersion: 'master' }, 'invalid_input', 'odooVersion'],
    [{ name: 'Shop', config: 'db_host = elsewhere' }, 'invalid_input', 'config'],
    [{ name: 'Shop', addonsPath: '../x' }, 'invalid_input', 'addonsPath'],
    [{ name: 'Shop', workers: 65 }, 'invalid_input', 'workers'],
    [{ name: 'Shop', serverId: servers.server.id }, 'placement_unsupported', 'serverId'],
    [{ name: 'Shop', slug: erp.webService.slug }, 'slug_taken', 'slug'],
  ] as const)
    expect(await refusalOf(create(input))).toMatchObject({ code, field })
  expect(await counts()).toEqual(before)
})

it('says why a deployment failed, and works again once that is corrected', async () => {
  await world.mutate('updateOdooInstance', { id: erp.id, addonsPath: 'missing' }, 'odooInstance { id }')
  const failed = await world.end(await world.deploy(erp.webService))
  expect(failed.failure).toMatchObject({
    phase: 'BUILD',
    code: 'BUILD_FAILED',
    message: 'addonsPath: missing is no directory of the repository.',
  })
  expect(await ask((await untilStatus(erp.id, 'RUNNING')).url, '/web/login')).toBe(200)

  await world.mutate('stopDatabase', { id: erp.database.id }, 'database { id }')
  const without = await world.end(await world.deploy(erp.webService))
  expect(without.failure).toMatchObject({ phase: 'PREPARE', code: 'CONFIG_UNRESOLVED' })
  await world.mutate('startDatabase', { id: erp.database.id }, 'database { id }')
  await world.mutate('updateOdooInstance', { id: erp.id, addonsPath: null, workers: 2 }, 'odooInstance { id }')
  const again = await world.live(erp.webService)
  expect(await logOf(again)).not.toContain('Initializing')
  const { url } = await untilStatus(erp.id, 'RUNNING')
  expect(await ask(url, '/websocket', { upgrade: true })).toBe(101)
})

it.skipIf(!source)('does not run a source without the program, and says so', async () => {
  const { instance, deployment } = await create({ name: 'Old', odooVersion: '16.0' })
  const { failure } = await world.end(deployment)
  expect(failure).toMatchObject({ phase: 'BUILD', code: 'SOURCE_REJECTED', message: 'The source of Odoo 16.0 has no executable odoo-bin.' })
  expect(await read(instance.id)).toMatchObject({ status: 'ERROR', statusMessage: failure.message })
})

it('is deleted with its database and its disk', async () => {
  await world.remove(erp.webService)
  expect((await read(erp.id)).status).toBe('DELETING')
  const query = 'query ($o: ID!, $d: ID!, $k: ID!) { odooInstance(id: $o) { id } database(id: $d) { id } disk(id: $k) { id } }'
  const ids = { o: erp.id, d: erp.database.id, k: erp.disk.id }
  await until('all of it is gone', async () => Object.values(await world.server.gql(query, ids)).every((found) => found === null))
})
