/** What a page costs in rows: it reads itself and one row more, however many rows its parent has. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readServices } from '../../src/domain/deploys/instance/survey.ts'
import { rows, run, type Sql, sql, type Tx } from '../../src/platform/db/index.ts'
import { decodeId, newId } from '../../src/platform/id.ts'
import type { App } from '../../src/platform/work.ts'
import { createTenant, operation, type Tenant, type World } from '../support/tenant.ts'
import { createEstate, createFullWorld, type Estate } from './estate.ts'

let world: World
let tenant: Tenant
let estate: Estate

/** Projects, and services, of which the last one of each has many children. */
const parents = 4
const deployments = 50_000
const children = 5_000
/** Services that have a few deployments each, which together are many. */
const small = { services: 2_000, deployments: 15 }

const uuid = (type: keyof Estate) => decodeId(type, estate[type])

beforeAll(async () => {
  world = await createFullWorld()
  tenant = await createTenant(world.app)
  for (let n = 0; n < parents; n++) estate = await createEstate(world.app, tenant)
  const { db } = world.app
  // Ids in order of creation, like UUIDv7.
  const prefix = newId().slice(0, 24)
  const digits = (Date.now() - 30 * 24 * 3_600_000).toString(16).padStart(12, '0')
  const longAgo = `${digits.slice(0, 8)}-${digits.slice(8)}-7000-8000-`
  const id = sql`(${prefix} || lpad(to_hex(n), 12, '0'))::uuid`
  const series = (count: number) => sql`generate_series(1, ${count}) n`
  const seed = (statement: Sql) => run(db, statement)
  await seed(
    sql`insert into environment (id, organization_id, project_id, name, slug, type)
        select ${id}, ${uuid('Organization')}::uuid, ${uuid('Project')}::uuid, 'e', 'e-' || n, 'STAGING' from ${series(children)}`,
  )
  await seed(
    sql`insert into web_service (id, organization_id, project_id, environment_id, name, slug, kind, branch, min_instances, max_instances, queue_policy,
          build_timeout_ms, health_timeout_ms, shutdown_grace_ms, desired_state)
        select ${id}, s.organization_id, s.project_id, s.environment_id, 's', 's-' || n, s.kind, s.branch, 1, 1, s.queue_policy, 1000, 1000, 1000, 'STOPPED'
        from web_service s, ${series(children)} where s.id = ${uuid('WebService')}::uuid`,
  )
  await seed(
    sql`insert into service_runtime (web_service_id, organization_id, status) select id, organization_id, 'STOPPED' from web_service on conflict do nothing`,
  )
  await seed(
    sql`insert into secret (id, organization_id, project_id, key, scope, is_secret, current_version)
        select ${id}, s.organization_id, s.project_id, 'KEY_' || n, s.scope, s.is_secret, 1
        from secret s, ${series(children)} where s.id = ${uuid('Secret')}::uuid`,
  )
  await seed(
    sql`insert into deployment (id, organization_id, web_service_id, number, kind, trigger, status, created_by_type, finished_at)
        select ${id}, d.organization_id, d.web_service_id, 100 + n, d.kind, d.trigger, 'SUPERSEDED', 'system', app_now()
        from deployment d, ${series(deployments)} where d.id = ${uuid('Deployment')}::uuid`,
  )
  await seed(
    sql`insert into deployment (id, organization_id, web_service_id, number, kind, trigger, status, created_by_type, finished_at)
        select (${prefix} || lpad(to_hex(n * ${children} + s.rank), 12, 'a'))::uuid, d.organization_id, s.id, n, d.kind, d.trigger, 'SUPERSEDED', 'system', app_now()
        from deployment d, ${series(small.deployments)},
             (select id, row_number() over (order by id) as rank from web_service where slug like 's-%' order by id limit ${small.services}) s
        where d.id = ${uuid('Deployment')}::uuid`,
  )
  await seed(
    sql`insert into deployment_step (deployment_id, phase, status)
        select d.id, p.phase, 'SUCCEEDED' from deployment d, unnest(array['PREPARE', 'BUILD', 'START']::deployment_phase[]) as p(phase)
        where d.number > 100`,
  )
  await seed(
    sql`insert into webhook_message (id, organization_id, event_type, timestamp)
        select ${id}, m.organization_id, m.event_type, m.timestamp
        from webhook_message m, ${series(children)} where m.id = ${uuid('WebhookMessage')}::uuid`,
  )
  await seed(
    sql`insert into webhook_delivery (message_id, endpoint_id, organization_id, status)
        select m.id, a.endpoint_id, m.organization_id, 'DELIVERED'
        from webhook_message m, webhook_attempt a where a.id = ${uuid('WebhookAttempt')}::uuid and m.id <> a.message_id
        on conflict do nothing`,
  )
  await seed(
    sql`insert into webhook_attempt (id, organization_id, message_id, endpoint_id, number, trigger, url, started_at, duration_ms)
        select ${id}, a.organization_id, a.message_id, a.endpoint_id, 100 + n, a.trigger, a.url, a.started_at, 1
        from webhook_attempt a, ${series(children)} where a.id = ${uuid('WebhookAttempt')}::uuid`,
  )
  await seed(
    sql`insert into audit_entry (id, organization_id, position, actor_type, actor_name, action, outcome, target_type, details, created_at, hash)
        select (case when n % 2 = 0 then ${prefix} else ${longAgo} end || lpad(to_hex(n), 12, '0'))::uuid, ${uuid('Organization')}::uuid, 1000000 + n,
               'system', 's', 'seeded', (case when n % 1000 = 0 then 'DENIED' else 'SUCCEEDED' end)::audit_outcome, 'Server', '{}',
               app_now() - case when n % 2 = 0 then interval '0' else interval '30 days' end, ''
        from ${series(children)}`,
  )
  // A message shows the attempts that its deliveries count.
  await seed(sql`update webhook_delivery set attempt_count = ${100 + children} where message_id = ${uuid('WebhookMessage')}::uuid`)
  await world.app.db.pool.query('analyze')
}, 120_000)
afterAll(() => world?.close())

/** Rows that an operation read, by table. `"Type"` stands for the id of that type which has many children. */
async function rowsRead(template: string): Promise<Record<string, number>> {
  const source = template.replaceAll(/"(\w+)"/g, (quoted, type: keyof Estate) => (type in estate ? `"${estate[type]}"` : quoted))
  return rowsReadBy(async (app) => {
    const { data, errors } = await operation(app, tenant.owner, source)
    expect({ source, errors }).toEqual({ source, errors: undefined })
    expect(JSON.stringify(data)).toContain('"id"')
  })
}

/** Rows that a work read, by table, as PostgreSQL counts them. */
const rowsReadBy = (work: (app: App) => Promise<unknown>): Promise<Record<string, number>> =>
  world.app.db.transaction(async (tx) => {
    const before = await readSoFar(tx)
    await work({ ...world.app, db: { ...world.app.db, ...tx } })
    const after = await readSoFar(tx)
    return Object.fromEntries(Object.entries(after).map(([table, n]) => [table, n - (before[table] ?? 0)]))
  })

async function readSoFar(tx: Tx): Promise<Record<string, number>> {
  const found = await rows<{ table: string; n: number }>(
    tx,
    sql`select relname as table, (coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::float8 as n from pg_stat_xact_user_tables`,
  )
  return Object.fromEntries(found.map(({ table, n }) => [table, n]))
}

const page = 3
const daysAgo = (days: number) => new Date(Date.now() - days * 24 * 3_600_000).toISOString()

it.each(['first: 3', 'last: 3', 'first: 3, after: "Deployment"', 'last: 3, before: "Deployment"'])(
  'a page (%s) of each of many services reads only these pages, of those with a few deployments and of those with many',
  async (range) => {
    const read = await rowsRead(`{ webServices(first: 100) { nodes { id deployments(${range}) { nodes { id } } } } }`)
    expect(read.deployment).toBeLessThanOrEqual(100 * (page + 1) + 10)
  },
)

describe('a page of a parent with many children reads only that page', () => {
  it.each([
    ['Project.environments', 'environment', '{ projects { nodes { environments(first: 3) { nodes { id } } } } }'],
    ['Project.environments from the end', 'environment', '{ projects { nodes { environments(last: 3) { nodes { id } } } } }'],
    ['Project.webServices', 'web_service', '{ projects { nodes { webServices(first: 3) { nodes { id } } } } }'],
    ['Project.secrets', 'secret', '{ projects { nodes { secrets(first: 3) { nodes { id } } } } }'],
    ['Environment.webServices', 'web_service', '{ environments(first: 8) { nodes { webServices(first: 3) { nodes { id } } } } }'],
    ['WebService.deployments', 'deployment', '{ webServices(first: 4) { nodes { deployments(first: 3) { nodes { id } } } } }'],
    ['WebService.deployments from the end', 'deployment', '{ webServices(first: 4) { nodes { deployments(last: 3) { nodes { id } } } } }'],
    [
      'WebhookMessage.attempts',
      'webhook_attempt',
      '{ node(id: "WebhookMessage") { ... on WebhookMessage { id attempts(first: 3) { nodes { id } } } } }',
    ],
    [
      'projects, then all levels',
      'deployment',
      '{ projects { nodes { environments(first: 1) { nodes { webServices(first: 1) { nodes { deployments(first: 3) { nodes { id } } } } } } } } }',
    ],
  ])('%s', async (_title, table, source) => {
    // For each parent, a page and one more row, which shows whether there is a next page.
    expect((await rowsRead(source))[table]).toBeLessThanOrEqual(parents * (page + 1) + 10)
  })

  it.each([
    ['environments', 'environment', ''],
    ['environments', 'environment', 'projectId: "Project"'],
    ['webServices', 'web_service', ''],
    ['webServices', 'web_service', 'projectId: "Project"'],
    ['deployments', 'deployment', ''],
    ['deployments', 'deployment', 'webServiceId: "WebService"'],
    ['deployments', 'deployment', 'webServiceId: "WebService", status: [SUPERSEDED]'],
    ['webhookMessages', 'webhook_message', ''],
    ['webhookMessages', 'webhook_message', 'endpointId: "WebhookEndpoint"'],
    ['webhookAttempts', 'webhook_attempt', ''],
    ['webhookAttempts', 'webhook_attempt', 'messageId: "WebhookMessage"'],
    ['webhookAttempts', 'webhook_attempt', 'endpointId: "WebhookEndpoint"'],
    ['auditLog', 'audit_entry', ''],
    ['auditLog', 'audit_entry', 'action: "createProject"'],
    ['auditLog', 'audit_entry', 'targetType: "\\u0050roject"'],
    ['auditLog', 'audit_entry', 'targetId: "Project"'],
    ['auditLog', 'audit_entry', 'actorId: "User"'],
    ['auditLog', 'audit_entry', 'outcome: DENIED'],
    ['auditLog', 'audit_entry', `since: "${daysAgo(1)}"`],
    ['auditLog', 'audit_entry', `until: "${daysAgo(1)}"`],
    ['auditLog', 'audit_entry', `action: "seeded", since: "${daysAgo(31)}", until: "${daysAgo(29)}"`],
  ])('the list %s of %s, %s, from either end', async (name, table, filter) => {
    // And the few that are read to check the filter.
    for (const range of ['first: 3', 'last: 3'])
      expect((await rowsRead(`{ ${name}(${range}, ${filter}) { nodes { id } } }`))[table]).toBeLessThanOrEqual(page + 1 + parents)
  })

  it('a service of 50,000 deployments shows the latest ones with their steps, and its live and active one', async () => {
    const source = `{ webService(id: "WebService") { id deployments(first: 3) { nodes { id status steps { phase status } } } activeDeployment { id } liveDeployment { id } } }`
    const read = await rowsRead(source)
    expect(read.deployment).toBeLessThanOrEqual(page + 1 + 10)
    expect(read.deployment_step).toBeLessThanOrEqual(20)
    const total = Object.values(read).reduce((sum, n) => sum + n, 0)
    expect(total).toBeLessThanOrEqual(100)
  })

  it('notices every row: a count reads them all', async () => {
    const source = '{ projects { nodes { id environments(first: 3) { totalCount nodes { id } } } } }'
    expect((await rowsRead(source)).environment).toBeGreaterThan(children)
  })
})

it('a pass of the reconciler reads the services that run or are to run, however many are stopped', async () => {
  const read = await rowsReadBy(readServices)
  expect(read.web_service! + read.service_runtime!).toBeLessThanOrEqual(20 * parents)
  expect(read.deployment).toBeLessThanOrEqual(20 * parents)
})
