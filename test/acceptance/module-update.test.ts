/** Modules of Odoo instances are installed and updated by deployments: afterwards the new release serves with the new database, or all is as before. */
import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Addon, addonFiles, createOdooSource } from '../support/odoo-server/index.ts'
import { acceptance, type Data, until } from './support.ts'

const source = await createOdooSource()
const world = acceptance({ ODOO_SOURCE_URL: source.url, DISK_SWITCH_HOLD_MS: '2000', WORKER_LEASE_MS: '1500' })
afterAll(() => source.close())

/** Answers of the instance to a call of a method, through the router. */
async function call(instance: Data, service: string, method: string, args: unknown[]): Promise<Data> {
  const body = JSON.stringify({ id: 1, params: { service, method, args } })
  const answer = await new Promise<string>((resolve, reject) => {
    const headers = { host: `${instance.webService.slug}.localhost`, 'content-type': 'application/json' }
    const sent = request({ port: world.server.routerPort, path: '/jsonrpc', method: 'POST', headers })
    sent.on('response', (response) => text(response).then(resolve, reject))
    sent.on('error', reject)
    sent.end(body)
  })
  return JSON.parse(answer)
}

/** Logs in, which fails if the database lacks a field of the code. Returns calls of methods of models. */
async function login({ database, ...instance }: Data) {
  const { databaseName: name } = database
  const { result: uid, error } = await call(instance, 'common', 'authenticate', [name, 'admin', 'admin', {}])
  if (!uid) throw new Error(`Nobody can log in: ${JSON.stringify(error)}`)
  return async (model: string, method: string, ...args: unknown[]) =>
    (await call(instance, 'object', 'execute_kw', [name, uid, 'admin', model, method, args])).result
}

const versionOf = async (instance: Data) => {
  const odoo = await login(instance)
  return (await odoo('ir.module.module', 'search_read', [['name', '=', 'library']], ['latest_version']))[0].latest_version
}

async function createInstance(name: string) {
  const repository = await world.repository(addonFiles('library', { version: '1.0' }))
  const made = await world.mutate(
    'createOdooInstance',
    { projectId: world.projectId, name, odooVersion: '17.0', workers: 0, repositoryUrl: repository.url },
    'odooInstance { id webService { id slug environment { id } } database { id databaseName } }',
  )
  const instance = made.odooInstance
  const first = await until('the first deployment ends', async () => {
    const { webService } = await world.server.gql(
      'query ($id: ID!) { webService(id: $id) { deployments(first: 1) { nodes { id status failure { code message } } } } }',
      { id: instance.webService.id },
    )
    const [deployment] = webService.deployments.nodes
    if (deployment?.status === 'FAILED') throw new Error(JSON.stringify([deployment, await world.log(deployment)]))
    return deployment?.status === 'LIVE' && deployment
  })
  let present: string[] = []
  /** Replaces the module, with its migrations. */
  const put = (addon: Addon) => {
    const files = addonFiles('library', addon)
    const removed = Object.fromEntries(present.filter((path) => !(path in files)).map((path) => [path, null]))
    present = Object.keys(files)
    return repository.commit({ ...files, ...removed }, `library ${addon.version}`)
  }
  return { instance, first, put, deploy: () => world.deploy(instance.webService) }
}

/** Updates modules by the action on the environment, and returns its deployment when it has ended. */
async function update({ webService }: Data, mode: string, modules: string[] = []) {
  const input = { environmentId: webService.environment.id, action: 'UPDATE_MODULES', mode, modules }
  const { operation } = await world.mutate('runEnvironmentAction', input, 'operation { id }')
  await until('the action ends', async () => {
    const found = await world.server.gql('query ($id: ID!) { operation(id: $id) { status } }', { id: operation.id })
    return found.operation.status === 'COMPLETED' || found.operation.status === 'FAILED'
  })
  const { webService: found } = await world.server.gql(
    'query ($id: ID!) { webService(id: $id) { deployments(first: 1) { nodes { id } } } }',
    { id: webService.id },
  )
  return world.end(found.deployments.nodes[0])
}

const untilServing = ({ webService: { slug } }: Data) =>
  until('the instance serves', async () => (await world.server.router(slug, '/web/login').catch(() => null))?.status === 200)

const messages = async (deployment: Data) => (await world.log(deployment)).map(({ message }) => message)
const instanceIds = async ({ webService }: Data) => (await world.read(webService)).instances.map(({ id }: Data) => id)

let shelf: Awaited<ReturnType<typeof createInstance>>
beforeAll(async () => {
  shelf = await createInstance('Shelf')
})

describe('modules of an Odoo instance', () => {
  it('are installed, updated if their files have changed, and all is as before if that fails', async () => {
    const { instance, first, put, deploy } = shelf
    expect(await messages(first)).toContain('Initializing the database. Installing base.')
    expect(await update(instance, 'REINITIALIZE_SPECIFIC', ['library'])).toMatchObject({ status: 'LIVE' })
    expect(await versionOf(instance)).toBe('17.0.1.0')
    const odoo = await login(instance)
    const file = await odoo('ir.attachment', 'create', { name: 'a.txt', datas: btoa('hello') })

    await put({ version: '2.0', userFields: ['badge'] })
    const updated = await world.end(await deploy())
    expect(updated).toMatchObject({ status: 'LIVE' })
    expect(await messages(updated)).toEqual(expect.arrayContaining(['Updating library.', 'Odoo finished without an error.']))
    expect(await versionOf(instance)).toBe('17.0.2.0')

    const serving = await instanceIds(instance)
    for (const name of ['nothing', 'mail']) {
      const refused = await update(instance, 'UPDATE_SPECIFIC', [name])
      expect(refused).toMatchObject({ status: 'FAILED', failure: { phase: 'RELEASE', code: 'MODULE_UPDATE_FAILED' } })
      expect(refused.failure.message).toContain(name)
    }
    expect(await instanceIds(instance)).toEqual(serving)

    await put({ version: '3.0', userFields: ['badge', 'shelf'], migration: { logsError: 'lost a book' } })
    const failed = await world.end(await deploy())
    const message = 'The update of library failed. Odoo logged an error: odoo.addons.library: lost a book'
    expect(failed).toMatchObject({ status: 'FAILED', failure: { phase: 'RELEASE', code: 'MODULE_UPDATE_FAILED', message } })
    expect(await messages(failed)).toContain('The database and the files are as they were before the update.')
    await untilServing(instance)
    expect(await versionOf(instance)).toBe('17.0.2.0')
    const again = await login(instance)
    expect(await again('ir.attachment', 'read', [file], ['datas'])).toEqual([{ id: file, datas: btoa('hello') }])
    const { deployPlan } = await world.server.gql('query ($id: ID!) { deployPlan(webServiceId: $id) { warnings } }', {
      id: instance.webService.id,
    })
    expect(deployPlan.warnings).toContainEqual(expect.stringContaining('library'))
  })

  it('are as before or updated, and the instance serves, after the server was killed at any step', async () => {
    const { instance, put, deploy } = shelf
    // A deployment may lose two processes. With the third one, it would fail.
    const rounds: { lines: string[]; migration?: Addon['migration'] }[] = [
      { lines: ['Stopping the running release', 'Taking a snapshot'] },
      { lines: ['The snapshot took', 'Updating library'], migration: { sleepSeconds: 1 } },
      { lines: ['Odoo finished', 'Starting 1 instance'] },
      { lines: ['Restoring the database'], migration: { raises: 'no such shelf' } },
    ]
    const fields = ['badge']
    let version = await versionOf(instance)
    for (const [index, { lines, migration }] of rounds.entries()) {
      const next = `${index + 4}.0`
      await put({ version: next, userFields: [...fields, `field_${index}`], migration })
      const deployment = await deploy()
      let seen = 0
      for (const line of lines) {
        seen = await until(`the log says: ${line}`, async () => {
          const said = await messages(deployment)
          return said.slice(seen).some((message) => message.startsWith(line)) && said.length
        })
        await world.server.kill('SIGKILL')
        await world.server.start()
      }
      const isBad = migration?.raises !== undefined
      expect({ lines, status: (await world.end(deployment)).status }).toEqual({ lines, status: isBad ? 'FAILED' : 'LIVE' })
      if (!isBad) {
        version = `17.0.${next}`
        fields.push(`field_${index}`)
      }
      await untilServing(instance)
      expect({ lines, version: await versionOf(instance) }).toEqual({ lines, version })
    }
    expect(await instanceIds(instance)).toHaveLength(1)
  })
})
