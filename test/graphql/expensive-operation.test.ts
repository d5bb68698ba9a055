/** Large operations: what is refused, what is batched, and when work is aborted. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ensureLogs } from '../../src/domain/deploys/log/index.ts'
import { createPerformer, isPrepared, type Performer } from '../../src/graphql/perform.ts'
import { schema } from '../../src/graphql/schema.ts'
import type { Caller } from '../../src/platform/access.ts'
import { decodeId, encodeId, newId } from '../../src/platform/id.ts'
import { createEstate, createFullWorld, type Estate } from '../contract/estate.ts'
import { append, countTo } from '../domain/deploys/log-support.ts'
import { createTenant, operation, statementsOf, type Tenant, type World } from '../support/tenant.ts'
import { until } from '../support/wait.ts'

let world: World
let tenant: Tenant
let estate: Estate
let performer: Performer

beforeAll(async () => {
  world = await createFullWorld()
  tenant = await createTenant(world.app)
  for (let n = 0; n < 3; n++) estate = await createEstate(world.app, tenant)
  performer = createPerformer({ app: world.app, schema })
})
afterAll(() => world?.close())

const times = (n: number, text: (index: number) => string) => Array.from({ length: n }, (_, index) => text(index)).join(' ')

function run(
  query: string,
  { caller = tenant.key('READ'), signal = new AbortController().signal }: { caller?: Caller; signal?: AbortSignal } = {},
) {
  const whenGone = (act: () => void) => {
    signal.addEventListener('abort', act)
    return () => signal.removeEventListener('abort', act)
  }
  const asker = { caller, requestId: 'test', whenGone }
  const prepared = performer.prepare({ query }, asker)
  return isPrepared(prepared) ? performer.run(prepared, asker) : prepared
}

async function limitOf(query: string): Promise<unknown> {
  const { errors } = (await run(query)) as { errors?: { extensions: { code: string; details?: { limit: string } } }[] }
  return errors ? (errors[0]!.extensions.details?.limit ?? errors[0]!.extensions.code) : 'passed'
}

const service = () => estate.WebService
const ids = (n: number) => JSON.stringify(countTo(n).map(() => encodeId('WebService', newId())))

describe('the cost of an operation', () => {
  it.each([
    [
      'logs of 100 services, 30 times each',
      () => `{ nodes(ids: ${ids(100)}) { ... on WebService { ${times(30, (n) => `a${n}: logs(tail: 10000) { cursor }`)} } } }`,
    ],
    ['long logs of many services', () => `{ nodes(ids: ${ids(20)}) { ... on WebService { logs(tail: 10000) { cursor } } } }`],
    [
      'short logs of many services, often',
      () => `{ nodes(ids: ${ids(100)}) { ... on WebService { ${times(10, (n) => `a${n}: logs(tail: 1) { cursor }`)} } } }`,
    ],
    ['long logs of deployments', () => `{ deployments(first: 20) { nodes { logs(tail: 10000) { cursor } } } }`],
    [
      'resolved variables of pages of services',
      () => '{ projects { nodes { webServices(first: 10) { nodes { resolvedEnv { key source { kind } } } } } } }',
    ],
    [
      'nested instances',
      () => `{ webServices(first: 3) { nodes { ${'instances { deployment { webService { '.repeat(4)} id ${'} } } '.repeat(4)} } } }`,
    ],
    [
      'nested bindings of secrets',
      () =>
        `{ webServices(first: 2) { nodes { ${'secretBindings { secret { usedBy { webService { '.repeat(2)} id ${'} } } } '.repeat(2)} } } }`,
    ],
    ['payloads of attempts of messages', () => '{ webhookMessages { nodes { attempts { nodes { message { payload } } } } } }'],
  ])('refuses %s', async (_title, query) => {
    expect(await limitOf(query())).toBe('cost')
  })

  it.each([
    ['one long log', () => `{ webService(id: "${service()}") { logs(tail: 10000) { lines { seq message } hasMore } } }`],
    ['a short log of each of 100 services', () => '{ webServices(first: 100) { nodes { logs(tail: 20) { lines { message } } } } }'],
    ['a page of deployments with their logs', () => '{ deployments { nodes { steps { phase status } logs { lines { seq message } } } } }'],
    [
      'a page of services with their resolved variables',
      () => '{ webServices(first: 100) { nodes { resolvedEnv { key isSecret source { kind } } instances { id } } } }',
    ],
    ['a page of payloads', () => '{ webhookMessages(first: 100) { nodes { payload } } }'],
  ])('allows %s', async (_title, query) => {
    expect(await limitOf(query())).toBe('passed')
  })

  it('grows with a tail that is given as a variable', async () => {
    const query = 'query ($tail: Int, $ids: [ID!]!) { nodes(ids: $ids) { ... on WebService { logs(tail: $tail) { cursor } } } }'
    const asked = (tail: number | undefined) => {
      const variables = { ids: JSON.parse(ids(15)) as string[], tail }
      const prepared = performer.prepare({ query, variables }, { caller: tenant.key('READ'), requestId: 'test' })
      return isPrepared(prepared) ? 'passed' : prepared.errors![0]!.extensions.code
    }
    expect([asked(10_000), asked(20_000), asked(undefined)]).toEqual(['passed', 'query_limit_exceeded', 'passed'])
  })
})

describe('log fields of one operation', () => {
  it('are read together, wherever they are selected', async () => {
    const query = (n: number) =>
      `{ nodes(ids: ["${service()}"]) { ... on WebService { ${times(n, (index) => `a${index}: logs(tail: ${index + 1}) { cursor }`)} } } }`
    await operation(world.app, tenant.owner, query(5))
    const [one, five] = [
      await statementsOf(world.app, () => operation(world.app, tenant.owner, query(1))),
      await statementsOf(world.app, () => operation(world.app, tenant.owner, query(5))),
    ]
    expect(five.length).toBe(one.length)
    expect(
      await statementsOf(world.app, () => operation(world.app, tenant.owner, '{ webServices { nodes { logs(tail: 2) { cursor } } } }')),
    ).toHaveLength(one.length)
  })
})

it('a list of many items is answered completely, written in portions', async () => {
  const [logId] = await ensureLogs(world.app.db, [
    { organizationId: tenant.organizationId, webServiceId: decodeId('WebService', service()), deploymentId: null },
  ])
  await append(world.app, logId!, countTo(1_234).map(String))
  const { data } = await operation(
    world.app,
    tenant.owner,
    `{ webService(id: "${service()}") { logs(tail: 1234) { lines { message } hasMore } } }`,
  )
  expect(data!.webService.logs).toEqual({ lines: countTo(1_234).map((n) => ({ message: String(n) })), hasMore: false })
})

it('values that are too large for one response are refused before they are read', async () => {
  const variables = countTo(70).map((n) => `{ key: "LARGE_${n}", value: "${'x'.repeat(60_000)}" }`)
  for (const part of [variables.slice(0, 35), variables.slice(35)]) {
    await operation(
      world.app,
      tenant.owner,
      `mutation { setEnvVars(input: { webServiceId: "${service()}", variables: [${part.join(', ')}] }) { warnings } }`,
    )
  }
  const texts = await statementsOf(world.app, async () => {
    for (const field of ['resolvedEnv', 'envVars']) {
      const answer = await operation(
        world.app,
        tenant.owner,
        `{ webService(id: "${service()}") { ${field} { key maskedValue } } webServices { totalCount } }`,
      )
      expect(answer.errors).toMatchObject([{ code: 'query_limit_exceeded', path: ['webService', field] }])
    }
  })
  expect(texts.filter((text) => /select \* from env_var|t\.value as/.test(text))).toEqual([])
})

it('their keys alone are read without them', async () => {
  const { data, errors } = await operation(world.app, tenant.owner, `{ webService(id: "${service()}") { envVars { key } } }`)
  expect(errors).toBeUndefined()
  expect(data!.webService.envVars.length).toBeGreaterThanOrEqual(70)
})

it('an operation whose client has disconnected sends no further statement', async () => {
  const blocker = await world.app.db.pool.connect()
  try {
    await blocker.query('begin')
    await blocker.query('lock table web_service in access exclusive mode')
    const sent: string[] = []
    const off = world.app.db.onStatement((text) => sent.push(text))
    const gone = new AbortController()
    const answered = run(
      `{ webService(id: "${service()}") { logs { cursor } deployments { nodes { logs { cursor } } } resolvedEnv { key } } }`,
      {
        signal: gone.signal,
      },
    )
    await until('the service is asked for', () => sent.length > 0)
    gone.abort()
    expect(await answered).toMatchObject({ errors: [{ extensions: { code: 'timeout' } }] })
    await blocker.query('commit')
    await until('the statement that waited has ended', async () => {
      const { rows } = await blocker.query(
        `select 1 from pg_stat_activity where datname = current_database() and query like '%web_service%' and state = 'active' and pid <> pg_backend_pid()`,
      )
      return rows.length === 0
    })
    // A statement caused by the answer would be sent before this one.
    await (await world.app.db.prismaClient()).project.count()
    off()
    expect(sent.filter((text) => /log|deployment|env_var/.test(text))).toEqual([])
  } finally {
    blocker.release()
  }
})

describe('a plan of an unknown service', () => {
  it('is null with an error, and does not affect other fields', async () => {
    const unknown = [encodeId('WebService', newId()), encodeId('Deployment', newId())]
    const { data, errors } = await operation(
      world.app,
      tenant.owner,
      `{ deployPlan(webServiceId: "${unknown[0]}") { warnings } rollbackPlan(deploymentId: "${unknown[1]}") { eligible } viewer { id: __typename } }`,
    )
    expect(data).toMatchObject({ deployPlan: null, rollbackPlan: null, viewer: {} })
    expect(errors!.map(({ code, path }) => `${path}: ${code}`).sort()).toEqual(['deployPlan: not_found', 'rollbackPlan: not_found'])
  })
})
