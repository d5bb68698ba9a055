import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { callerOfKey, createApiKey, revokeApiKey } from '../../../src/domain/access/api-key/index.ts'
import { deleteProject } from '../../../src/domain/apps/project/index.ts'
import { createWebhookEndpoint, updateWebhookEndpoint } from '../../../src/domain/webhooks/endpoint/index.ts'
import { schema } from '../../../src/graphql/schema.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { row, rows, sql } from '../../../src/platform/db/index.ts'
import { RawSocket, startServer, type TestServer } from '../../graphql/support.ts'
import { codeOf, createTenant, request, type Tenant } from '../../support/tenant.ts'
import { project as createProject, toldOf, webService } from '../apps/support.ts'
import { deliveries, fannedOut, publishUpdate, webhooksWorld } from './support.ts'

const world = webhooksWorld()
let tenant: Tenant
let projectId: string

beforeEach(async () => {
  tenant = await createTenant(world.app)
  projectId = (await createProject(world.app, tenant.owner)).id
})

const as = (caller = tenant.owner) => request(world.app, caller)
const endpoint = async (input: CommandInput = {}) =>
  (await execute(as(), createWebhookEndpoint, { url: 'http://127.0.0.1:9/', projectId, ...input })).webhookEndpoint
const key = (input: CommandInput = {}) => execute(as(), createApiKey, { name: 'ci', scope: 'ADMIN', projectId, ...input })
const remove = (input: CommandInput = {}) => execute(as(), deleteProject, { id: projectId, ...input })
const auditOf = (targetId: string) =>
  rows(
    world.app.db,
    sql`select action, actor_id, target_type, details from audit_entry where target_id = ${targetId}::uuid order by ordinal`,
  )

describe.each([{ cascade: false }, { cascade: true }])('deleting a project (%j)', ({ cascade }) => {
  beforeEach(async () => {
    if (cascade) await webService(world.app, tenant.owner, { projectId })
  })

  it('deletes its endpoints, each with an event and an audit entry, and cancels their pending deliveries', async () => {
    const { id } = await endpoint()
    const other = await endpoint({ projectId: null })
    const jobs = world.work(world.app)
    await execute(as(), updateWebhookEndpoint, { id, description: 'so that the endpoint is open' })
    await publishUpdate(world.app, tenant.owner, { projectId })
    await fannedOut(world.app, tenant.owner)
    await jobs.stop({ graceMs: 1_000 })
    await remove({ cascade })
    expect((await toldOf(world.app, id)).at(-1)).toBe('webhook_endpoint.deleted')
    expect(await auditOf(id)).toContainEqual({
      action: 'deleteWebhookEndpoint',
      actorId: tenant.owner.userId,
      targetType: 'WebhookEndpoint',
      details: { reason: 'project deleted' },
    })
    const left = await deliveries(world.app, id)
    expect(left.length).toBeGreaterThan(0)
    for (const delivery of left) expect(delivery).toMatchObject({ status: 'CANCELLED', reason: 'The endpoint was deleted.' })
    expect(await rows(world.app.db, sql`select endpoint_id from webhook_lane`)).toEqual([{ endpointId: other.id }])
    expect(await rows(world.app.db, sql`select id from webhook_endpoint`)).toEqual([{ id: other.id }])
  })

  it('revokes its keys immediately, each with an event and an audit entry, but not keys of the organization or those already revoked', async () => {
    const [mine, revoked, other] = [await key(), await key(), await key({ projectId: null })]
    await execute(as(), revokeApiKey, { id: revoked.apiKey.id })
    await remove({ cascade })
    expect(await callerOfKey(world.app, mine.plaintextKey!)).toBeNull()
    expect(await callerOfKey(world.app, other.plaintextKey!)).not.toBeNull()
    expect(await toldOf(world.app, mine.apiKey.id)).toEqual(['api_key.created', 'api_key.revoked'])
    expect(await toldOf(world.app, revoked.apiKey.id)).toEqual(['api_key.created', 'api_key.revoked'])
    expect(await auditOf(mine.apiKey.id)).toContainEqual({
      action: 'revokeApiKey',
      actorId: tenant.owner.userId,
      targetType: 'ApiKey',
      details: { reason: 'project deleted' },
    })
  })

  it('prevents the creation of keys and endpoints in it', async () => {
    await remove({ cascade })
    expect(await codeOf(key())).toBe('not_found')
    expect(await codeOf(endpoint())).toBe('not_found')
  })
})

it('a refused deletion deletes nothing', async () => {
  await webService(world.app, tenant.owner, { projectId })
  const { id } = await endpoint()
  const { plaintextKey } = await key()
  expect(await codeOf(remove())).toBe('not_empty')
  expect(await callerOfKey(world.app, plaintextKey!)).not.toBeNull()
  expect(await toldOf(world.app, id)).toEqual(['webhook_endpoint.created'])
})

it('a key created while the project is being deleted is refused or revoked with it', async () => {
  const [, made] = await Promise.all([remove(), key().catch(() => null)])
  if (made) expect(await toldOf(world.app, made.apiKey.id)).toEqual(['api_key.created', 'api_key.revoked'])
  expect(await row(world.app.db, sql`select 1 from api_key where revoked_at is null`)).toBeNull()
})

it('open sockets of its keys are closed, and no others', async () => {
  const server: TestServer = await startServer({ schema, realKeys: true, times: { checkCredentialsEveryMs: 600_000 } })
  onTestFinished(server.close)
  const { app } = server
  const { owner } = await createTenant(app)
  const { id } = await createProject(app, owner)
  const socketOf = async (input: CommandInput) => {
    const { plaintextKey } = await execute(request(app, owner), createApiKey, { name: 'ci', scope: 'ADMIN', ...input })
    const socket = await new RawSocket(server.wsUrl).init({ apiKey: plaintextKey })
    onTestFinished(() => socket.ws.terminate())
    return socket
  }
  const [ofProject, ofOrganization] = [await socketOf({ projectId: id }), await socketOf({})]
  await execute(request(app, owner), deleteProject, { id })
  expect((await ofProject.closed())[0]).toBe(4403)
  ofOrganization.subscribe('1', '{ projects { nodes { id } } }')
  await ofOrganization.got('next', '1')
})
