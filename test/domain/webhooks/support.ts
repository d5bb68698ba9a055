import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { apiKeyRevoked } from '../../../src/domain/access/api-key/index.ts'
import { operationQueue } from '../../../src/domain/access/operation/jobs.ts'
import { projectUpdated } from '../../../src/domain/apps/project/index.ts'
import { deliverWebhooks } from '../../../src/domain/webhooks/attempt/jobs.ts'
import { fanOut } from '../../../src/domain/webhooks/delivery/fan-out.ts'
import { fanOutEvents } from '../../../src/domain/webhooks/delivery/jobs.ts'
import {
  createWebhookEndpoint,
  findRecipients,
  outgoingHttp,
  type Recipient,
  selectionPort,
} from '../../../src/domain/webhooks/endpoint/index.ts'
import { createHttpOutgoing } from '../../../src/drivers/http/index.ts'
import { schema } from '../../../src/graphql/schema.ts'
import { createSelection } from '../../../src/graphql/selection.ts'
import { type Jobs, startJobs } from '../../../src/jobs/index.ts'
import { type Caller, systemCaller } from '../../../src/platform/access.ts'
import { type CommandInput, execute, type Request } from '../../../src/platform/command.ts'
import type { Concept } from '../../../src/platform/concept.ts'
import { row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { createEgressGuard } from '../../../src/platform/egress.ts'
import { publish } from '../../../src/platform/events.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'
import { sequence } from '../../../src/platform/sequencer.ts'
import { type App, transact } from '../../../src/platform/work.ts'
import { createTestApp, type TestApp } from '../../support/app.ts'
import { createTestDatabase } from '../../support/database.ts'
import { type Receiver, type ReceiverScript, startReceiver } from '../../support/receiver.ts'
import { until } from '../../support/wait.ts'

type World = {
  url: string
  /** A process that runs no jobs. */
  app: TestApp
  process(settings?: Record<string, string>): Promise<TestApp>
  /** Starts the jobs of a process. They are stopped with the world. */
  work(app: TestApp, worker?: string): Jobs
  receiver(script?: ReceiverScript): Promise<Receiver>
  close(): Promise<void>
}

/** Creates a database. Its processes and receivers are closed with it. */
async function createWorld(settings: Record<string, string> = {}, extra: readonly Concept[] = []): Promise<World> {
  const database = await createTestDatabase()
  const closers: (() => Promise<unknown>)[] = [() => database.drop()]
  const process = async (own: Record<string, string> = {}) => {
    const app = await createTestApp(database.url, { WORKER_LEASE_MS: '10000', ...settings, ...own }, extra)
    const http = createHttpOutgoing({ guard: createEgressGuard({ allow: app.settings.EGRESS_ALLOW }) })
    outgoingHttp.provide(app, http)
    selectionPort.provide(app, createSelection(app, schema))
    closers.push(
      () => app.close(),
      () => http.close(),
    )
    return app
  }
  return {
    url: database.url,
    app: await process(),
    process,
    work(app, worker = 'worker') {
      const jobs = startJobs(app, {
        queues: [deliverWebhooks, operationQueue],
        chores: [fanOutEvents],
        worker,
      })
      closers.push(() => jobs.stop({ graceMs: 0 }))
      return jobs
    },
    async receiver(script) {
      const receiver = await startReceiver(script ? { script } : {})
      closers.push(() => receiver.close())
      return receiver
    },
    async close() {
      for (const close of closers.toReversed()) await close()
    },
  }
}

export type WebhooksWorld = Omit<World, 'close'> & {
  /** Caller of the organization with all permissions. */
  caller: Caller
  request(as?: Caller): Request
  createEndpoint(input: CommandInput, as?: Caller): ReturnType<typeof createEndpoint>
  publishUpdate(update?: Update): Promise<string>
}

/**
 * Creates a world with one organization for each test of the file. With `shared`, all tests share one world and its organization; with
 * `shared: 'database'`, each test has its own organization in it. Call it at the top of the file.
 */
export function webhooksWorld(
  settings: Record<string, string> = {},
  { shared = false, concepts = [] }: { shared?: boolean | 'database'; concepts?: readonly Concept[] } = {},
): WebhooksWorld {
  let world: World
  let caller: Caller
  const [before, after] = shared ? [beforeAll, afterAll] : [beforeEach, afterEach]
  before(async () => {
    world = await createWorld(settings, concepts)
  })
  const beforeOrganization = shared === true ? beforeAll : beforeEach
  beforeOrganization(async () => {
    caller = await createOrganization(world.app)
  })
  after(() => world?.close())
  return {
    get url() {
      return world.url
    },
    get app() {
      return world.app
    },
    get caller() {
      return caller
    },
    process: (own) => world.process(own),
    work: (app, worker) => world.work(app, worker),
    receiver: (script) => world.receiver(script),
    request: (as = caller) => ({ app: world.app, caller: as, requestId: 'test' }),
    createEndpoint: (input, as = caller) => createEndpoint(world.app, as, input),
    publishUpdate: (update) => publishUpdate(world.app, caller, update),
  }
}

/** Creates an organization and returns a caller with all permissions. */
export async function createOrganization(app: App): Promise<Caller> {
  const id = newId()
  await run(app.db, sql`insert into organization (id, name, slug) values (${id}::uuid, 'Acme', ${id})`)
  return systemCaller(id)
}

export async function createProjectRow(app: App, caller: Caller): Promise<string> {
  const id = newId()
  await run(
    app.db,
    sql`insert into project (id, organization_id, name, slug) values (${id}::uuid, ${caller.organizationId}::uuid, 'Shop', ${id})`,
  )
  return id
}

export const createEndpoint = (app: App, caller: Caller, input: CommandInput) =>
  execute({ app, caller, requestId: 'test' }, createWebhookEndpoint, input)

/** Reads an endpoint as a delivery needs it. Throws if it cannot be decrypted. */
export async function recipientOf(app: App, endpointId: string): Promise<Recipient> {
  const found = (await findRecipients(app, [endpointId])).get(endpointId)
  if (!found || 'unreadable' in found) throw new Error('The endpoint was deleted or cannot be decrypted.', { cause: found?.unreadable })
  return found
}

type Update = { projectId?: string; name?: string; slug?: string; channels?: string[] }

/** Publishes `project.updated` in its own transaction and returns the ID of the event. */
export async function publishUpdate(
  app: App,
  caller: Caller,
  { projectId = newId(), name = 'Shop', slug = 'shop', channels = [] }: Update = {},
): Promise<string> {
  const id = newId()
  const data = { projectId: encodeId('Project', projectId), name, slug }
  await transact(app, caller, { requestId: 'request-1', emits: app.domain.eventTypes.all }, (work) =>
    publish(work, projectUpdated, { id, subjectId: projectId, projectId, data, channels }),
  )
  return id
}

/** Events of a type in an organization, oldest first. */
export const eventsOf = (app: App, caller: Caller, type: string): Promise<{ id: string; data: Record<string, unknown> }[]> =>
  rows(app.db, sql`select id, data from event where organization_id = ${caller.organizationId}::uuid and type = ${type} order by ordinal`)

/** Publishes `api_key.revoked`, which does not belong to a project, and returns the ID of the event. */
export async function publishKeyRevoked(app: App, caller: Caller): Promise<string> {
  const id = newId()
  const data = { apiKeyId: encodeId('ApiKey', id), name: 'ci', kind: 'PLATFORM' as const, scope: 'READ' as const }
  await transact(app, caller, { emits: app.domain.eventTypes.all }, (work) =>
    publish(work, apiKeyRevoked, { id, subjectId: id, projectId: null, data }),
  )
  return id
}

/** Fans out all events published so far, without jobs. */
export async function fanOutAll(app: App): Promise<void> {
  while ((await sequence(app)) > 0) {}
  while ((await fanOut(app)) > 0) {}
}

/** Waits until every event has been fanned out and returns the IDs of the organization's messages, oldest first. */
export async function fannedOut(app: App, caller: Caller): Promise<string[]> {
  await until('all events are messages', async () => {
    const left = await row<{ n: number }>(
      app.db,
      sql`select count(*)::int as n from event e where not exists (select 1 from webhook_message m where m.id = e.id)`,
    )
    return left?.n === 0
  })
  const found = await rows<{ id: string }>(
    app.db,
    sql`select id from webhook_message where organization_id = ${caller.organizationId}::uuid order by position`,
  )
  return found.map((message) => message.id)
}

export type DeliveryRow = {
  messageId: string
  endpointId: string
  status: string
  reason: string | null
  attemptCount: number
  nextAttemptAt: Date | null
}

export const deliveries = (app: App, endpointId: string): Promise<DeliveryRow[]> =>
  rows(app.db, sql`select * from webhook_delivery where endpoint_id = ${endpointId}::uuid order by message_id`)

/** Waits until the endpoint has at least `count` deliveries and none of them is pending. */
export const settled = (app: App, endpointId: string, count = 1): Promise<DeliveryRow[]> =>
  until(`${count} deliveries are settled`, async () => {
    const found = await deliveries(app, endpointId)
    return found.length >= count && found.every((delivery) => delivery.status !== 'PENDING') ? found : null
  })

export type AttemptRow = {
  number: number
  url: string
  startedAt: Date
  durationMs: number
  requestHeaders: Record<string, string>
  responseStatus: number | null
  errorClass: string | null
  responseHeaders: Record<string, string> | null
  responseBody: string | null
  worker: string | null
  nextAttemptAt: Date | null
  trigger: string
}

export const attempts = (app: App, endpointId: string): Promise<AttemptRow[]> =>
  rows(app.db, sql`select * from webhook_attempt where endpoint_id = ${endpointId}::uuid order by message_id, number`)
