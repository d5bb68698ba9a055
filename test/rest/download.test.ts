/** Exports of the audit log by links. */
import type { FastifyInstance } from 'fastify'
import { buildSchema } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createApp } from '../../src/app.ts'
import { createApiKey, revokeApiKey } from '../../src/domain/access/api-key/index.ts'
import { openExport } from '../../src/domain/access/audit-log/index.ts'
import { createProject, updateProject } from '../../src/domain/apps/project/index.ts'
import { type Caller, keyPermissions, rolePermissions } from '../../src/platform/access.ts'
import { writeAudit } from '../../src/platform/audit.ts'
import { type AuditLink, auditHash } from '../../src/platform/audit-chain.ts'
import { execute } from '../../src/platform/command.ts'
import { run, sql } from '../../src/platform/db/index.ts'
import { encodeId, parseTypeId } from '../../src/platform/id.ts'
import { sequenceAll } from '../../src/platform/sequencer.ts'
import { transact } from '../../src/platform/work.ts'
import { downloadPlugin } from '../../src/rest/download/index.ts'
import { createTenant, createWorld, operation, request, statementsOf, type Tenant, type World } from '../support/tenant.ts'

let world: World
let server: FastifyInstance

beforeAll(async () => {
  world = await createWorld()
  server = await createApp({ app: world.app, schema: buildSchema('type Query { nothing: Int }'), rest: [downloadPlugin(world.app)] })
})
afterAll(async () => {
  await server?.close()
  await world?.close()
})

async function linkOf(caller: Caller, input = 'format: NDJSON'): Promise<string> {
  const source = `mutation { exportAuditLog(input: {${input}}) { url expiresAt } }`
  const { data, errors } = await operation(world.app, caller, source)
  expect(errors).toBeUndefined()
  const { url, expiresAt } = data!.exportAuditLog
  expect(new Date(expiresAt).getTime()).toBeGreaterThan(Date.now() + 4 * 60_000)
  return url
}

const get = (url: string) => server.inject({ url })
const download = async (caller: Caller, input?: string) => {
  const response = await get(await linkOf(caller, input))
  expect(response.statusCode).toBe(200)
  return response
}

async function shop(): Promise<{ tenant: Tenant; id: string }> {
  const tenant = await createTenant(world.app)
  const { project } = await execute(request(world.app, tenant.owner), createProject, { name: '=HYPERLINK("http://evil")' })
  await execute(request(world.app, tenant.owner), updateProject, { id: project.id, name: '@SUM(1)', description: 'two\nlines, "quoted"' })
  return { tenant, id: encodeId('Project', project.id) }
}

const uuidOf = (id: string | null) => id && parseTypeId(id)!.uuid
const textOf = (json: unknown) => (json === null ? null : JSON.stringify(json))

/** What is hashed of an exported entry. */
// biome-ignore lint/suspicious/noExplicitAny: a line of JSON
const linkOfLine = (line: any, organizationId: string): AuditLink => ({
  ...line,
  organizationId,
  id: uuidOf(line.id),
  actorId: uuidOf(line.actorId),
  userId: uuidOf(line.userId),
  targetId: uuidOf(line.targetId),
  before: textOf(line.before),
  after: textOf(line.after),
  details: textOf(line.details),
  createdAt: new Date(line.timestamp),
})

describe('an export', () => {
  it('as NDJSON has every entry, oldest first, with what is needed to verify the chain', async () => {
    const { tenant, id } = await shop()
    const response = await download(tenant.owner)
    expect(response.headers).toMatchObject({
      'content-type': 'application/x-ndjson; charset=utf-8',
      'cache-control': 'no-store',
      'content-disposition': expect.stringMatching(/^attachment; filename="audit-log-\d{4}-\d\d-\d\d\.ndjson"$/),
    })
    const entries = response.body
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(entries).toMatchObject([
      { position: '1', action: 'createProject', targetId: id, previousHash: null },
      { position: '2', action: 'updateProject', targetId: id, before: { description: null }, previousHash: entries[0].hash },
      { position: '3', action: 'exportAuditLog', details: { format: 'NDJSON', filter: {} }, previousHash: entries[1].hash },
    ])
    const { data } = await operation(
      world.app,
      tenant.owner,
      '{ auditLog(last: 1) { nodes { id position timestamp action outcome actorType actorId actorName hash after details } } }',
    )
    expect(entries[0]).toMatchObject(data!.auditLog.nodes[0])
    let former: Uint8Array = new Uint8Array()
    for (const entry of entries) {
      former = auditHash(former, BigInt(entry.position), linkOfLine(entry, tenant.organizationId))
      expect(entry.hash).toBe(Buffer.from(former).toString('hex'))
    }
  })

  it('as CSV quotes what has to be quoted, and contains no formula', async () => {
    const { tenant } = await shop()
    const response = await download(tenant.owner, 'format: CSV, action: "updateProject"')
    expect(response.headers['content-type']).toBe('text/csv; charset=utf-8; header=present')
    const [header, line, end] = response.body.split('\r\n')
    expect({ header, end }).toEqual({ header: expect.stringMatching(/^id,position,timestamp,action,/), end: '' })
    const cells = [...line!.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
      ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain,
    )
    const found = Object.fromEntries(header!.split(',').map((name, at) => [name, cells[at]]))
    expect(found).toMatchObject({ position: '2', action: 'updateProject', targetName: `'=HYPERLINK("http://evil")`, requestId: 'test' })
    expect(JSON.parse(found.after!)).toEqual({ name: '@SUM(1)', description: 'two\nlines, "quoted"' })
    expect(cells.filter((cell) => /^[=+\-@\t\r]/.test(cell!))).toEqual([])
  })

  it('contains what its filter selects', async () => {
    const { tenant, id } = await shop()
    const lines = async (input: string) => (await download(tenant.owner, input)).body.split('\n').length - 1
    expect(await lines(`format: NDJSON, targetId: "${id}", targetType: "Project"`)).toBe(2)
    expect(await lines('format: NDJSON, outcome: DENIED')).toBe(0)
    expect(await lines('format: NDJSON, until: "2020-01-01T00:00:00Z"')).toBe(0)
    expect(
      await lines(
        `format: NDJSON, since: "${new Date(Date.now() - 60_000).toISOString()}", actorId: "${encodeId('User', tenant.owner.userId!)}"`,
      ),
    ).toBe(6)
  })

  it('of many entries is read while it is sent, a batch at a time', async () => {
    const tenant = await createTenant(world.app)
    await transact(world.app, tenant.owner, {}, async (work) => {
      for (let n = 0; n < 1_700; n++) writeAudit(work, { action: 'many' })
    })
    const token = new URL(await linkOf(tenant.owner), 'http://x').searchParams.get('token')
    await sequenceAll(world.app)
    const opened = (await openExport(world.app, token))!
    const first = await statementsOf(world.app, async () => {
      expect((await opened.lines.next()).value!.trim().split('\n')).toHaveLength(500)
    })
    // The end of the log, and the batch.
    expect(first).toHaveLength(2)
    await opened.lines.return()
    const lines = (await get(`/audit-log/export?token=${token}`)).body.trim().split('\n')
    expect(lines.map((line) => JSON.parse(line).position)).toEqual(Array.from({ length: 1_701 }, (_, n) => String(n + 1)))
  })
})

describe('a link', () => {
  const tokenOf = (url: string) => new URL(url, 'http://x').searchParams.get('token')!

  it('that was changed, is malformed or names another organization is refused', async () => {
    const [{ tenant }, other] = [await shop(), await shop()]
    const [payload, mac] = tokenOf(await linkOf(tenant.owner)).split('.') as [string, string]
    const [, otherMac] = tokenOf(await linkOf(other.tenant.owner)).split('.') as [string, string]
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
    const forge = (change: object) => Buffer.from(JSON.stringify({ ...claims, ...change })).toString('base64url')
    const forged = [
      `${payload}.${otherMac}`,
      `${payload}.`,
      `${payload}`,
      `${payload}.${mac}0`,
      `${forge({ organizationId: other.tenant.organizationId })}.${mac}`,
      `${forge({ organizationId: crypto.randomUUID() })}.${mac}`,
      `${forge({ expiresAt: '2999-01-01T00:00:00Z' })}.${mac}`,
      `${forge({ filter: { action: 'x' } })}.${mac}`,
      '',
      'x',
      '%00',
      `${'a'.repeat(5_000)}.${mac}`,
    ]
    for (const token of forged) {
      const response = await get(`/audit-log/export?token=${token}`)
      expect({ token, status: response.statusCode, code: response.json().error.code }).toEqual({
        token,
        status: 401,
        code: 'unauthenticated',
      })
    }
    expect((await get('/audit-log/export')).statusCode).toBe(401)
    expect((await get(`/audit-log/export?token=${payload}.${mac}&token=x`)).statusCode).toBe(401)
    expect((await get(`/audit-log/export?token=${payload}.${mac}`)).statusCode).toBe(200)
  })

  it('expires', async () => {
    const { tenant } = await shop()
    const token = tokenOf(await linkOf(tenant.owner))
    const at = (ms: number) => ({ ...world.app, clock: { ...world.app.clock, now: () => new Date(Date.now() + ms) } })
    expect(await openExport(at(4 * 60_000), token)).not.toBeNull()
    expect(await openExport(at(5 * 60_000 + 1), token)).toBeNull()
  })

  it('ends with the key that created it, and with the membership of its user', async () => {
    const { tenant } = await shop()
    const { apiKey } = await execute(request(world.app, tenant.owner), createApiKey, { name: 'auditor', scope: 'READ' })
    const caller: Caller = {
      ...tenant.owner,
      subject: { type: 'api_key', id: apiKey.id, name: 'auditor' },
      apiKeyId: apiKey.id,
      permissions: keyPermissions('READ', rolePermissions('OWNER')),
    }
    const [byKey, byUser] = [tokenOf(await linkOf(caller)), tokenOf(await linkOf(tenant.owner))]
    expect(await openExport(world.app, byKey)).not.toBeNull()
    await execute(request(world.app, tenant.owner), revokeApiKey, { id: apiKey.id })
    expect(await openExport(world.app, byKey)).toBeNull()
    expect(await openExport(world.app, byUser)).not.toBeNull()
    await run(world.app.db, sql`delete from member where organization_id = ${tenant.organizationId}::uuid`)
    expect(await openExport(world.app, byUser)).toBeNull()
  })

  it('is not returned again for a repeated idempotency key', async () => {
    const { tenant } = await shop()
    const source = 'mutation { exportAuditLog(input: {format: CSV, idempotencyKey: "once"}) { url } }'
    expect((await operation(world.app, tenant.owner, source)).data!.exportAuditLog.url).toMatch(/^\/audit-log\/export\?token=/)
    expect((await operation(world.app, tenant.owner, source)).data!.exportAuditLog.url).toBeNull()
  })
})
