import { parse, subscribe } from 'graphql'
import { describe, expect, it } from 'vitest'
import { databaseEngine } from '../../../src/domain/resources/database/index.ts'
import type { DatabaseEngine } from '../../../src/domain/resources/database/ports.ts'
import { createGraphqlContext } from '../../../src/graphql/builder/context.ts'
import { schema } from '../../../src/graphql/schema.ts'
import { request } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'
import { query, sqlState, useShop } from './support.ts'

const shop = useShop()

const update =
  'mutation ($id: ID!, $s: JSON, $max: Int) { updateDatabase(input: {id: $id, settings: $s, maxConnections: $max}) { database { settings version } } }'
const setting = async (url: string, name: string) => (await query(url, `select current_setting('${name}') as value`))[0]?.value

describe('a change of settings', () => {
  it('is applied to the running server, and waits for a restart where PostgreSQL needs one', async () => {
    const { id, url } = await shop.createDatabase('tuned')
    await shop.run(update, { id, s: { work_mem: '9MB' } })
    await until('work_mem is applied', async () => (await setting(url, 'work_mem')) === '9MB')
    await shop.run(update, { id, s: { shared_buffers: '24MB' } })
    const pending = async () => (await shop.run('query ($id: ID!) { database(id: $id) { pendingRestart settings } }', { id })).database
    await until('a restart is pending', async () => (await pending()).pendingRestart)
    expect(await setting(url, 'shared_buffers')).toBe('16MB')
    await shop.run('mutation ($id: ID!) { restartDatabase(input: {id: $id}) { database { id } } }', { id })
    await until('the server has restarted with it', async () => (await setting(url, 'shared_buffers').catch(() => null)) === '24MB')
    await until('no restart is pending', async () => !(await pending()).pendingRestart)
    await shop.run(update, { id, s: { work_mem: null } })
    expect((await pending()).settings).toEqual({ shared_buffers: '24MB' })
    await until('work_mem is reset', async () => (await setting(url, 'work_mem')) === '4MB')
  })

  it('to the same values changes nothing', async () => {
    const { id } = await shop.createDatabase('same')
    const first = await shop.run(update, { id, s: { work_mem: '9MB' } })
    expect(await shop.run(update, { id, s: { work_mem: '9MB' } })).toEqual(first)
  })

  it('limits the connections of the role', async () => {
    const { id, url } = await shop.createDatabase('narrow')
    await shop.run(update, { id, max: 1 })
    await until(
      'the limit is applied',
      async () => (await query(url, 'select rolconnlimit from pg_roles where rolname = current_user'))[0]?.rolconnlimit === 1,
    )
    const both = await Promise.all([sqlState(query(url, 'select pg_sleep(1)')), sqlState(query(url, 'select pg_sleep(1)'))])
    expect(both.sort()).toEqual(['53300', 'done'])
  })
})

describe('a rotated password', () => {
  it('replaces the former one, and gives connected services another URL', async () => {
    const { id, url } = await shop.createDatabase('rotated')
    const service = await shop.service('rotating')
    await shop.run('mutation ($d: ID!, $s: ID!) { connectDatabase(input: {databaseId: $d, webServiceId: $s}) { warnings } }', {
      d: id,
      s: service,
    })
    const variable = async () =>
      (
        await shop.run('query ($id: ID!) { webService(id: $id) { resolvedEnv { key fingerprint source { version } } } }', { id: service })
      ).webService.resolvedEnv.find(({ key }: { key: string }) => key === 'DATABASE_URL')
    const before = await variable()
    await shop.run('mutation ($id: ID!) { rotateDatabasePassword(input: {id: $id}) { database { id } } }', { id })
    const rotated = await shop.reveal(id)
    await until('the new password works', async () => (await sqlState(query(rotated, 'select 1'))) === 'done')
    expect(await sqlState(query(url, 'select 1'))).toBe('28P01')
    const after = await variable()
    expect(after.fingerprint).not.toBe(before.fingerprint)
    expect([before.source.version, after.source.version]).toEqual([1, 2])
  })
})

describe('metrics', () => {
  it('are read from the server, at most once in a few seconds whoever asks', async () => {
    const { id, url } = await shop.createDatabase('measured')
    await query(url, 'create table t as select generate_series(1, 1000)')
    const engine = databaseEngine.use(shop.app)
    let readings = 0
    const measure: DatabaseEngine['measure'] = (spec) => {
      readings++
      return engine.measure(spec)
    }
    databaseEngine.provide(shop.app, { ...engine, measure })
    const ask = () =>
      shop.run('query ($id: ID!) { database(id: $id) { sizeBytes activeConnections cacheHitRatio transactionsPerSecond } }', { id })
    const { database } = await ask()
    expect(database.sizeBytes).toBeGreaterThan(1_000_000)
    expect(database.cacheHitRatio).toBeGreaterThan(0)
    for (let times = 0; times < 5; times++) expect((await ask()).database.sizeBytes).toBe(database.sizeBytes)
    expect(readings).toBe(1)
  })

  it('contain the CPU and memory of its server, also when somebody asks for the first time, and nothing once it is stopped', async () => {
    const { id, url } = await shop.createDatabase('busy')
    const ask = async () =>
      (await shop.run('query ($id: ID!) { database(id: $id) { status cpuUsagePercent memoryUsagePercent } }', { id })).database
    const idle = await ask()
    expect(idle.cpuUsagePercent).toBeGreaterThanOrEqual(0)
    expect(idle.memoryUsagePercent).toBeGreaterThan(0)
    expect(idle.memoryUsagePercent).toBeLessThan(20)
    const counted = query(url, 'select count(*) from generate_series(1, 1000000000000)').catch((error: Error) => error)
    const busy = await until('it is busy', async () => {
      const found = await ask()
      return found.cpuUsagePercent > 2 ? found : null
    })
    expect(busy.cpuUsagePercent).toBeLessThanOrEqual(110)
    await shop.run('mutation ($id: ID!) { stopDatabase(input: {id: $id}) { database { id } } }', { id })
    expect(await counted).toBeInstanceOf(Error)
    await until('it is stopped and not measured', async () => {
      const found = await ask()
      return found.status === 'STOPPED' && found.cpuUsagePercent === null && found.memoryUsagePercent === null
    })
  })
})

describe('replaceDatabase', () => {
  it('moves all services to the other database in one transaction', async () => {
    const [from, to] = [await shop.createDatabase('from'), await shop.createDatabase('to')]
    const service = await shop.service('moving')
    await shop.run('mutation ($d: ID!, $s: ID!) { connectDatabase(input: {databaseId: $d, webServiceId: $s}) { warnings } }', {
      d: from.id,
      s: service,
    })
    const replace =
      'mutation ($f: ID!, $t: ID!) { replaceDatabase(input: {fromDatabaseId: $f, toDatabaseId: $t}) { resourceBindings { resource { id } } } }'
    expect(await shop.refused(replace, { f: from.id, t: from.id })).toMatchObject({ code: 'invalid_input' })
    expect((await shop.run(replace, { f: from.id, t: to.id })).replaceDatabase.resourceBindings).toEqual([{ resource: { id: to.id } }])
    const { revealResolvedEnv } = await shop.run(
      'mutation ($id: ID!) { revealResolvedEnv(input: {webServiceId: $id}) { values { key value } } }',
      { id: service },
    )
    expect(revealResolvedEnv.values).toContainEqual({ key: 'DATABASE_URL', value: to.url })
  })
})

describe('resourceUpdated', () => {
  it('sends the current state and each change, and completes when the database is removed', async () => {
    const { id } = await shop.createDatabase('followed')
    const source = await subscribe({
      schema,
      document: parse('subscription ($id: ID!) { resourceUpdated(id: $id) { id ... on Database { status } } }'),
      variableValues: { id },
      contextValue: createGraphqlContext(request(shop.app, shop.tenant.owner)),
    })
    if (!(Symbol.asyncIterator in source)) throw new Error(JSON.stringify(source))
    const seen: string[] = []
    for await (const { data, errors } of source) {
      expect(errors).toBeUndefined()
      const { status } = data!.resourceUpdated as { status: string }
      seen.push(status)
      if (seen.length === 1) await shop.run('mutation ($id: ID!) { stopDatabase(input: {id: $id}) { database { id } } }', { id })
      else if (status === 'STOPPED') await shop.run('mutation ($id: ID!) { deleteDatabase(input: {id: $id}) { deletedId } }', { id })
    }
    expect([seen[0], seen.includes('STOPPED'), seen.at(-1)]).toEqual(['RUNNING', true, 'DELETING'])
  })
})
