import { afterAll, beforeAll, expect, it } from 'vitest'
import { openExport } from '../../../src/domain/access/audit-log/index.ts'
import { ocoreDialect } from '../../../src/rest/ocore/index.ts'
import { ocoreKeys, startRest, type TestServer } from '../support.ts'

let rest: TestServer
beforeAll(async () => {
  rest = await startRest([ocoreDialect], {}, ocoreKeys)
})
afterAll(() => rest?.close())

const call = (method: string, path: string, body?: unknown, key = rest.acme.key.ADMIN) => rest.call(method, `/api${path}`, { key, body })
const list = async (query: string) => (await call('GET', `/audit-logs${query}`)).body
const actions = async (query: string) => (await list(query)).data.map(({ action }: { action: string }) => action)

it('every change is listed, newest first, with what it changed, and pages follow each other', async () => {
  const { body: project } = await call('POST', '/projects', { name: 'Shop' })
  await call('PATCH', `/projects/${project.id}`, { name: 'Store' })
  const first = await list(`?resource_id=${project.id}&limit=1`)
  expect(first.data).toMatchObject([
    {
      ...{ action: 'updateProject', outcome: 'succeeded', resourceType: 'Project', resourceId: project.id, resourceName: 'Shop' },
      ...{ userId: null, userName: 'ADMIN', beforeState: { name: 'Shop' }, afterState: { name: 'Store' } },
    },
  ])
  const second = await list(`?resource_id=${project.id}&limit=1&cursor=${first.next_cursor}`)
  expect(second).toMatchObject({ data: [{ action: 'createProject' }], has_more: false })
})

it('filters narrow the list', async () => {
  await call('POST', '/projects', { name: 'No' }, rest.acme.key.READ)
  expect((await list('?action=createProject&limit=1')).data).toMatchObject([{ action: 'createProject', outcome: 'denied' }])
  expect(new Set(await actions('?resource_type=ApiKey'))).toEqual(new Set(['createApiKey']))
  const { id } = rest.acme.owner.subject
  expect((await list(`?user_id=${id}&limit=1`)).data).toMatchObject([{ userId: id, userName: 'acme' }])
  expect(await actions('?start_date=2099-01-01')).toEqual([])
  expect(await actions('?end_date=2020-01-01T00:00:00Z')).toEqual([])
  expect(await actions('?resource_id=nope')).toEqual([])
  expect(await call('GET', '/audit-logs?start_date=yesterday')).toMatchObject({
    status: 400,
    body: { error: { details: { field: 'start_date', constraint: 'type' } } },
  })
})

it('an export is a link that downloads the entries that the filters select', async () => {
  const { body: project } = await call('POST', '/projects', { name: 'Exported' })
  const made = await call('GET', `/audit-logs/export?format=ndjson&resource_id=${project.id}`)
  expect(made).toMatchObject({ status: 200, body: { url: expect.stringContaining('/audit-log/export?token=') } })
  expect(new Date(made.body.expiresAt).getTime()).toBeGreaterThan(rest.app.clock.now().getTime())
  const download = (url: string) => openExport(rest.app, new URL(url, 'http://localhost').searchParams.get('token'))
  const { format, lines } = (await download(made.body.url))!
  expect(format).toBe('NDJSON')
  const actions: string[] = []
  for await (const line of lines) actions.push(JSON.parse(line).action)
  expect(actions).toEqual(['createProject'])
  expect((await download((await call('GET', '/audit-logs/export')).body.url))!.format).toBe('CSV')
  expect(await call('GET', '/audit-logs/export?format=pdf')).toMatchObject({
    status: 400,
    body: { error: { details: { field: 'format' } } },
  })
  expect((await list('?action=exportAuditLog')).data).toHaveLength(2)
})
