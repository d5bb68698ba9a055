/** What administrators of the installation do over REST, without X-Org-Slug. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { followSettings, loadSettings } from '../../../src/domain/access/setting/index.ts'
import { createWebService } from '../../../src/domain/apps/web-service/index.ts'
import { createWebhookEndpoint } from '../../../src/domain/webhooks/endpoint/index.ts'
import { startChore } from '../../../src/jobs/index.ts'
import { setAsideText } from '../../../src/platform/claim.ts'
import { execute } from '../../../src/platform/command.ts'
import { newRow, rows, run, sql } from '../../../src/platform/db/index.ts'
import { newId, nilId } from '../../../src/platform/id.ts'
import { ocoreDialect } from '../../../src/rest/ocore/index.ts'
import { createTestApp } from '../../support/app.ts'
import { password, signIn } from '../../support/person.ts'
import { statementsOf } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'
import { ocoreKeys, startRest, type TestServer } from '../support.ts'

let rest: TestServer
let token: string
let strangersToken: string
beforeAll(async () => {
  rest = await startRest([ocoreDialect], {}, ocoreKeys)
  await run(rest.app.db, sql`update user_account set is_administrator = true where id = ${rest.acme.owner.userId}::uuid`)
  token = (await signIn(rest.app, rest.acme.owner)).accessToken
  strangersToken = (await signIn(rest.app, rest.other.owner)).accessToken
})
afterAll(() => rest?.close())

const call = (method: string, path: string, body?: unknown, key = token) => rest.call(method, `/api/admin${path}`, { key, body })

it.each(ocoreDialect.routes.filter(({ path }) => path.startsWith('/admin/')).map(({ method, path }) => [method, path]))(
  '%s %s is refused to the owner of another organization, to keys with all permissions, and to nobody',
  async (method, path) => {
    const at = path.slice('/admin'.length).replaceAll(/\{\w+\}/g, newId())
    const body = method === 'GET' ? undefined : {}
    expect(await call(method, at, body, strangersToken)).toMatchObject({ status: 403, body: { error: { code: 'forbidden' } } })
    expect(await call(method, at, body, rest.acme.key.ADMIN)).toMatchObject({ status: 403 })
    expect(await call(method, at, body, 'nothing')).toMatchObject({ status: 401 })
  },
)

it('users are created, found, deactivated and reactivated', async () => {
  const input = { email: 'Grace@example.com', name: 'Grace', password, orgId: rest.acme.organizationId }
  const created = await call('POST', '/users', input)
  expect(created).toMatchObject({ status: 201, body: { email: 'grace@example.com', isServerAdmin: false, orgCount: 1, lastLoginAt: null } })
  expect(await call('POST', '/users', input)).toMatchObject({ status: 409, body: { error: { details: { field: 'email' } } } })
  expect(await call('POST', '/users', { ...input, email: 'x' })).toMatchObject({ status: 400 })
  expect((await call('GET', '/users?search=GRACE')).body.data).toEqual([created.body])
  const user = `/users/${created.body.id}`
  expect(await call('POST', `${user}/deactivate`)).toMatchObject({ status: 200, body: { deactivatedAt: expect.any(String) } })
  expect(await call('POST', `${user}/reactivate`)).toMatchObject({ status: 200, body: { deactivatedAt: null } })
  expect(await call('POST', `/users/${rest.acme.owner.userId}/deactivate`)).toMatchObject({ status: 409 })
  const first = await call('GET', '/users?limit=1')
  const second = await call('GET', `/users?limit=1&cursor=${first.body.next_cursor}`)
  expect([first.body.has_more, second.body.data[0].id === first.body.data[0].id]).toEqual([true, false])
})

it('organizations are listed with the number of their members', async () => {
  const { body } = await call('GET', '/orgs')
  expect(body.data).toContainEqual(expect.objectContaining({ id: rest.other.organizationId, slug: 'other', memberCount: 1 }))
})

describe('settings', () => {
  it('are changed in all processes, restored, and audited', async () => {
    const another = await createTestApp(rest.databaseUrl, {})
    const loop = startChore(another, followSettings)
    try {
      expect((await call('GET', '/settings')).body).toMatchObject({ signUp: 'invited', organizationsPerOwner: 20, changed: [] })
      expect(await call('PUT', '/settings', { signUp: 'open', auditRetentionMs: 86_400_000 })).toMatchObject({
        status: 200,
        body: { signUp: 'open', auditRetentionMs: 86_400_000, organizationsPerOwner: 20, changed: ['signUp', 'auditRetentionMs'] },
      })
      await until('the other process follows', () => another.settings.SIGN_UP === 'open')
      expect(another.settings.AUDIT_RETENTION_MS).toBe(86_400_000)
      expect((await call('PUT', '/settings', { signUp: null })).body).toMatchObject({ signUp: 'invited', changed: ['auditRetentionMs'] })
      await until('the other process follows again', () => another.settings.SIGN_UP === 'invited')
    } finally {
      await loop.stop(0)
      await another.close()
    }
    const audited = await rows<{ details: unknown }>(
      rest.app.db,
      sql`select details from audit_entry where action = 'updateSettings' and organization_id = ${nilId}::uuid order by id`,
    )
    expect(audited.at(-1)!.details).toEqual({ changes: [{ setting: 'SIGN_UP', before: 'open', after: 'invited' }] })
  })

  it.each([
    ['signUp', 'everyone'],
    ['signUp', 1],
    ['organizationsPerOwner', 0],
    ['organizationsPerOwner', '5'],
    ['organizationsPerOwner', 1.5],
    ['auditRetentionMs', -1],
    ['storageMaxBytes', true],
  ])('%s cannot be %j', async (field, value) => {
    const before = (await call('GET', '/settings')).body
    expect(await call('PUT', '/settings', { [field]: value, emailDailyLimit: 5 })).toMatchObject({
      status: 400,
      body: { error: { details: { field } } },
    })
    expect((await call('GET', '/settings')).body).toEqual(before)
  })

  it('that this version does not accept are ignored, and the log says so', async () => {
    await run(rest.app.db, sql`insert into runtime_setting (name, value) values ('STORAGE_MAX_BUCKETS', '-3'::json), ('GONE', '1'::json)`)
    await loadSettings(rest.app)
    expect(rest.app.settings.STORAGE_MAX_BUCKETS).toBe(100)
    expect(rest.app.logged).toContainEqual(expect.objectContaining({ setting: 'STORAGE_MAX_BUCKETS' }))
    await run(rest.app.db, sql`delete from runtime_setting where name in ('STORAGE_MAX_BUCKETS', 'GONE')`)
  })
})

describe('jobs', () => {
  const add = async (fields: object) => {
    const id = newId()
    await run(
      rest.app.db,
      sql`insert into operation ${newRow({ id, organizationId: rest.acme.organizationId, input: sql`'{}'::json`, ...fields })}`,
    )
    return id
  }

  it('are listed newest first, by status, with pages that stay the same while jobs are added', async () => {
    const failed = { type: 'runEnvironmentAction', status: sql`'FAILED'`, error: 'It failed.', finishedAt: sql`app_now()` }
    const ids = [await add(failed), await add(failed), await add({ type: 'deleteOrganization', status: sql`'QUEUED'` })]
    await add({ type: 'deleteOrganization', status: sql`'COMPLETED'` })
    const first = await call('GET', '/jobs?limit=2')
    await add({ type: 'deleteOrganization', status: sql`'QUEUED'` })
    const second = await call('GET', `/jobs?limit=2&cursor=${first.body.next_cursor}`)
    expect([...first.body.data, ...second.body.data].map(({ id }) => id)).toEqual(ids.toReversed())
    expect(second.body.has_more).toBe(false)
    expect(second.body.data[0]).toMatchObject({
      type: 'runEnvironmentAction',
      status: 'failed',
      error: 'It failed.',
      finishedAt: expect.any(String),
    })
    expect((await call('GET', '/jobs?status=queued')).body.data).toHaveLength(2)
  })

  it('are of every queue', async () => {
    /** Restores and checks of servers are shown by their operations. */
    const others = ['restore', 'server']
    const all = (await statementsOf(rest.app, () => call('GET', '/jobs?limit=1'))).join()
    const tables = new Set(rest.app.domain.queues.map((queue) => queue.rows.table))
    expect([...tables].filter((table) => !new RegExp(`from ${table}\\b`).test(all)).sort()).toEqual(others)
  })

  it('are retried where that is possible, else refused with the reason', async () => {
    const failed = { status: sql`'FAILED'`, finishedAt: sql`app_now()`, leaseEpoch: 3 }
    const verdict = await add({ ...failed, type: 'runEnvironmentAction', error: 'It failed.' })
    const setAside = await add({ ...failed, type: 'runEnvironmentAction', error: setAsideText })
    const resumable = await add({ ...failed, type: 'deleteOrganization', error: 'It failed.' })
    const retry = (id: string) => call('POST', `/jobs/${id}/retry`)
    expect(await retry(verdict)).toMatchObject({ status: 422, body: { error: { message: expect.stringContaining('cannot continue') } } })
    for (const id of [setAside, resumable])
      expect(await retry(id)).toMatchObject({ status: 200, body: { id, status: 'queued', error: null, finishedAt: null } })
    expect(await retry(setAside)).toMatchObject({ status: 422, body: { error: { message: 'The job has not failed.' } } })
    expect(await retry(newId())).toMatchObject({ status: 404 })
    const [row] = await rows<{ leaseEnded: number }>(rest.app.db, sql`select lease_ended from operation where id = ${setAside}::uuid`)
    expect(row!.leaseEnded).toBe(3)
  })

  it('of webhooks are messages, whose given up deliveries to enabled endpoints are sent again', async () => {
    const { app, acme } = rest
    const { organizationId } = acme
    const request = { app, caller: acme.owner, requestId: 'test' }
    const endpoint = async () => (await execute(request, createWebhookEndpoint, { url: 'https://example.com/hook' })).webhookEndpoint.id
    const [enabled, disabled] = [await endpoint(), await endpoint()]
    await run(app.db, sql`update webhook_endpoint set disabled_at = app_now() where id = ${disabled}::uuid`)
    const message = async (body: string | null, deliveries: Record<string, string>) => {
      const id = newId()
      const fields = { id, organizationId, eventType: 'project.created', timestamp: sql`app_now()`, body }
      await run(app.db, sql`insert into webhook_message ${newRow(fields)}`)
      for (const [endpointId, status] of Object.entries(deliveries)) {
        const delivery = {
          messageId: id,
          endpointId,
          organizationId,
          status: sql`${status}::webhook_delivery_status`,
          attemptCount: 8,
          reason: 'Gone.',
        }
        await run(app.db, sql`insert into webhook_delivery ${newRow(delivery)}`)
      }
      return id
    }
    const retry = (id: string) => call('POST', `/jobs/${id}/retry`)
    await message('{}', { [enabled]: 'DELIVERED' })
    const failed = await message('{}', { [enabled]: 'EXHAUSTED', [disabled]: 'EXHAUSTED' })
    const unreachable = await message('{}', { [disabled]: 'EXHAUSTED', [enabled]: 'ABORTED' })
    const removed = await message(null, { [enabled]: 'EXHAUSTED' })
    const listed = (await call('GET', '/jobs?status=failed&limit=3')).body.data
    expect(listed.map(({ id }: { id: string }) => id)).toEqual([removed, unreachable, failed])
    expect(listed[2]).toMatchObject({ type: 'webhook', status: 'failed', attempts: 16, error: 'Gone.' })
    expect(await retry(unreachable)).toMatchObject({ status: 422, body: { error: { message: expect.stringContaining('disabled') } } })
    expect(await retry(removed)).toMatchObject({ status: 422, body: { error: { message: expect.stringContaining('removed') } } })
    expect(await retry(failed)).toMatchObject({ status: 200, body: { id: failed, status: 'queued' } })
    const deliveries = await rows<{ endpointId: string; status: string; scheduleBase: number }>(
      app.db,
      sql`select endpoint_id, status, schedule_base from webhook_delivery where message_id = ${failed}::uuid order by endpoint_id`,
    )
    expect(deliveries).toEqual([
      { endpointId: enabled, status: 'PENDING', scheduleBase: 8 },
      { endpointId: disabled, status: 'EXHAUSTED', scheduleBase: 0 },
    ])
  })

  it('of mails, deployments and backups are listed and say why they cannot be retried', async () => {
    const { app, acme } = rest
    const mailId = newId()
    const mail = {
      id: mailId,
      purpose: 'account_notice',
      sender: 'a@example.com',
      toAddresses: ['b@example.com'],
      ccAddresses: [],
      replyTo: [],
    }
    const ended = { subject: 'Hello', sizeBytes: 1, status: sql`'ENDED'` }
    await run(app.db, sql`insert into mail ${newRow({ ...mail, ...ended })}`)
    const recipient = { mailId, number: 0, address: 'b@example.com', status: sql`'FAILED'`, text: 'No such user.' }
    await run(app.db, sql`insert into mail_recipient ${newRow(recipient)}`)
    const project = (await rest.call('POST', '/api/projects', { key: acme.key.ADMIN, body: { name: 'Shop' } })).body
    const input = { name: 'Web', projectId: project.id, repositoryUrl: 'https://git.example.com/a/b.git' }
    await execute({ app, caller: acme.owner, requestId: 'test' }, createWebService, input)
    const deployment = (await rest.call('POST', `/api/projects/${project.id}/deployments`, { key: acme.key.ADMIN })).body
    await run(
      app.db,
      sql`update deployment set status = 'FAILED', failure_code = 'INTERNAL', failure_phase = 'BUILD', failure_message = 'It failed.', finished_at = app_now() where id = ${deployment.id}::uuid`,
    )
    const backupId = newId()
    const backup = {
      id: backupId,
      organizationId: acme.organizationId,
      projectId: project.id,
      archive: 'a',
      postgresVersion: '18',
      error: 'Full.',
    }
    const taken = { trigger: sql`'MANUAL'`, status: sql`'FAILED'`, original: sql`'{}'::json` }
    await run(app.db, sql`insert into backup ${newRow({ ...backup, ...taken })}`)
    const expected = [
      { id: backupId, type: 'backup', error: 'Full.' },
      { id: deployment.id, type: 'deployment', error: 'It failed.' },
      { id: mailId, type: 'mail', error: 'No such user.' },
    ]
    expect((await call('GET', '/jobs?status=failed&limit=3')).body.data).toMatchObject(expected)
    for (const { id } of expected)
      expect(await call('POST', `/jobs/${id}/retry`)).toMatchObject({ status: 422, body: { error: { code: 'unprocessable' } } })
  })
})
