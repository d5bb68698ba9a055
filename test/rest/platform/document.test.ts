/**
 * Every example of the contract's document, sent by curl to a listening server as it stands: only the host, the key and the ids are changed. Where
 * the document names a row without its body, the test adds one.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run, sql } from '../../../src/platform/db/index.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { canaryOf } from '../../support/canary.ts'
import { signIn } from '../../support/person.ts'
import { startRest, type TestServer } from '../support.ts'
import { contractRows } from './contract-rows.ts'
import { goLive } from './platform-support.ts'

/** Request lines with the headers and bodies of the document. */
const examples = `
GET /api/projects
POST /api/projects
Content-Type: application/json
{
"name": "my-app",
"description": "My application"
}
GET /api/projects/{project_id}
GET /api/web-services
POST /api/web-services
Content-Type: application/json
{
"name": "backend-api",
"project_id": "uuid",
"git_repository_url": "https://github.com/user/repo",
"port": 3000,
"build_command": "npm run build",
"min_instances": 1,
"max_instances": 3
}
GET /api/web-services/{web_service_id}
PATCH /api/web-services/{web_service_id}
Content-Type: application/json
{
"name": "new-name",
"min_instances": 2
}
DELETE /api/web-services/{web_service_id}
POST /api/web-services/{web_service_id}/start
POST /api/web-services/{web_service_id}/stop
POST /api/web-services/{web_service_id}/restart
GET /api/web-services/{web_service_id}/logs?tail=100&since=1710000000
GET /api/web-services/{web_service_id}/deployments?limit=10&offset=0
POST /api/web-services/{web_service_id}/deployments
Content-Type: application/json
{
"branch": "main"
}
GET /api/web-services/{web_service_id}/deployments/{deployment_id}
POST /api/web-services/{web_service_id}/deployments/{deployment_id}/cancel
POST /api/web-services/{web_service_id}/deployments/{deployment_id}/rollback
GET /api/web-services/{web_service_id}/env
GET /api/web-services/{web_service_id}/env/reveal-all
GET /api/web-services/{web_service_id}/env/{var_id}/reveal
POST /api/web-services/{web_service_id}/env
Content-Type: application/json
{
"key": "DATABASE_URL",
"value": "postgres://...",
"is_secret": true
}
PATCH /api/web-services/{web_service_id}/env/{var_id}
Content-Type: application/json
{
"value": "new-value"
}
PUT /api/web-services/{web_service_id}/env/bulk
Content-Type: application/json
{
"variables": [
{"key": "NODE_ENV", "value": "production"},
{"key": "PORT", "value": "3000", "is_secret": false}
]
}
DELETE /api/web-services/{web_service_id}/env/{var_id}
GET /api/projects/{project_id}/secrets
POST /api/projects/{project_id}/secrets
Content-Type: application/json
{
"key": "STRIPE_SECRET_KEY",
"value": "sk_live_...",
"scope": "production",
"is_secret": true
}
GET /api/projects/{project_id}/secrets/{secret_id}/reveal
PATCH /api/projects/{project_id}/secrets/{secret_id}
Content-Type: application/json
{
"value": "new-value"
}
PUT /api/projects/{project_id}/secrets/bulk
Content-Type: application/json
{
"secrets": [
{"key": "API_SECRET", "value": "value1", "scope": "production"},
{"key": "API_SECRET", "value": "value2", "scope": "staging"}
]
}
DELETE /api/projects/{project_id}/secrets/{secret_id}
GET /api/web-services/{web_service_id}/secret-bindings
POST /api/web-services/{web_service_id}/secret-bindings
Content-Type: application/json
{
"project_secret_id": "uuid",
"alias_key": "DB_PASSWORD"
}
GET /api/web-services/{web_service_id}/secret-bindings/resolved
PUT /api/web-services/{web_service_id}/secret-bindings/bulk
Content-Type: application/json
{
"bindings": [
{"project_secret_id": "uuid", "alias_key": "DB_PASSWORD"},
{"project_secret_id": "uuid", "alias_key": "REDIS_URL"}
]
}
DELETE /api/web-services/{web_service_id}/secret-bindings/{binding_id}
POST /api/databases
GET /api/databases
GET /api/databases/{database_id}
PATCH /api/databases/{database_id}
DELETE /api/databases/{database_id}
POST /api/databases/{database_id}/start
POST /api/databases/{database_id}/stop
GET /api/databases/{database_id}/status
POST /api/redis
GET /api/redis
GET /api/redis/{redis_id}
PATCH /api/redis/{redis_id}
DELETE /api/redis/{redis_id}
POST /api/redis/{redis_id}/start
POST /api/redis/{redis_id}/stop
GET /api/redis/{redis_id}/status
GET /api/storage/tenant
POST /api/storage/buckets
GET /api/storage/buckets
PATCH /api/storage/buckets/{bucket_id}
DELETE /api/storage/buckets/{bucket_id}
POST /api/storage/keys
GET /api/storage/keys
DELETE /api/storage/keys/{key_id}
POST /api/storage/buckets/{bucket_id}/presign
GET /api/email/tenant
POST /api/email/services
GET /api/email/services
PATCH /api/email/services/{service_id}
DELETE /api/email/services/{service_id}
POST /api/email/services/{service_id}/api-keys
GET /api/email/services/{service_id}/api-keys
POST /api/email/services/{service_id}/domains
GET /api/email/services/{service_id}/domains
POST /api/email/services/{service_id}/sandbox-emails
POST /api/email/services/{service_id}/send
GET /api/email/services/{service_id}/stats
POST /api/email/services/{service_id}/webhooks
`

/** Bodies of rows that the document only names. */
const bodies: Record<string, object> = {
  'POST /api/databases': { name: 'orders' },
  'PATCH /api/databases/{database_id}': { name: 'orders-2' },
  'POST /api/redis': { name: 'cache' },
  'PATCH /api/redis/{redis_id}': { name: 'cache-2' },
  'POST /api/storage/buckets': { name: 'document-example' },
  'PATCH /api/storage/buckets/{bucket_id}': { public: true },
  'POST /api/storage/keys': { name: 'web', buckets: ['{bucket_id}'], permissions: { read: true, write: true } },
  'POST /api/storage/buckets/{bucket_id}/presign': { key: 'a.txt', method: 'GET' },
  'POST /api/email/services': { name: 'receipts' },
  'PATCH /api/email/services/{service_id}': { name: 'receipts-2' },
  'POST /api/email/services/{service_id}/api-keys': { name: 'shop' },
  'POST /api/email/services/{service_id}/domains': { domain: 'mail.example.com' },
  'POST /api/email/services/{service_id}/sandbox-emails': { email: 'grace@example.com' },
  'POST /api/email/services/{service_id}/send': { from: 'shop@example.com', to: ['ada@example.com'], subject: 'Hello', text: 'Hello' },
  'POST /api/email/services/{service_id}/webhooks': { url: 'http://127.0.0.1:9/', events: ['delivered'] },
}

type Example = { line: string; method: string; target: string; headers: string[]; body: string }

const parsed: Example[] = examples
  .trim()
  .split(/\n(?=(?:GET|POST|PUT|PATCH|DELETE) )/)
  .map((text) => {
    const [line, ...rest] = text.split('\n')
    const [method, target] = line!.split(' ')
    const headers = rest.filter((each) => /^[\w-]+: /.test(each))
    const added = bodies[line!]
    const body = rest.slice(headers.length).join('\n') || (added ? JSON.stringify(added) : '')
    return { line: line!, method: method!, target: target!, headers: added ? ['Content-Type: application/json'] : headers, body }
  })

type Ids = Record<string, string>

let rest: TestServer
let origin: string
let ids: Ids

beforeAll(async () => {
  rest = await startRest([platformDialect])
  // The value of a plain variable in an example.
  canaryOf(rest.databaseUrl).allow('production')
  origin = await rest.server.listen({ host: '127.0.0.1', port: 0 })
  ids = await createObjects()
})
afterAll(() => rest?.close())

const post = async (path: string, body: object = {}): Promise<string> => {
  const answer = await rest.call('POST', `/api${path}`, { key: rest.acme.key.ADMIN, body })
  expect(answer).toMatchObject({ status: 201 })
  return answer.body.id
}

/** One object of each kind that paths name: a service with two finished deployments, of which the second is live. */
async function createObjects(): Promise<Ids> {
  const project_id = await post('/projects', { name: 'Shop' })
  const repository = { git_repository_url: 'https://github.com/user/repo', max_instances: 3 }
  const web_service_id = await post('/web-services', { name: 'Web', project_id, ...repository })
  const service = `/web-services/${web_service_id}`
  const deployment_id = await post(`${service}/deployments`)
  await goLive(rest, deployment_id)
  await goLive(rest, await post(`${service}/deployments`))
  const secret_id = await post(`/projects/${project_id}/secrets`, { key: 'PASSWORD', value: 'sesame-of-document' })
  const bucket_id = await post('/storage/buckets', { name: `document-${project_id}` })
  const service_id = await post('/email/services', { name: 'Mail' })
  const recipient = await post(`/email/services/${service_id}/sandbox-emails`, { email: 'ada@example.com' })
  await run(rest.app.db, sql`update sandbox_recipient set verified_at = app_now(), code_mac = null where id = ${recipient}::uuid`)
  return {
    ...{ project_id, web_service_id, deployment_id, secret_id, bucket_id, service_id },
    var_id: await post(`${service}/env`, { key: 'TOKEN', value: 'sesame-of-variable', is_secret: true }),
    binding_id: await post(`${service}/secret-bindings`, { project_secret_id: secret_id }),
    database_id: await post('/databases', { name: 'Orders', project_id }),
    redis_id: await post('/redis', { name: 'Cache', project_id }),
    key_id: await post('/storage/keys', { name: 'Web', buckets: [bucket_id], permissions: { read: true } }),
  }
}

const fill = (text: string, from: Ids) =>
  text
    .replaceAll(/\{(\w+_id)\}/g, (_, name: string) => from[name]!)
    .replaceAll('"project_secret_id": "uuid"', `"project_secret_id": "${from.secret_id}"`)
    .replaceAll('"project_id": "uuid"', `"project_id": "${from.project_id}"`)

async function curl({ method, target, headers, body }: Example, from: Ids, authorization: string) {
  const all = [...headers, `Authorization: Bearer ${authorization}`].flatMap((header) => ['-H', header])
  const data = body ? ['--data-binary', fill(body, from)] : []
  const { stdout } = await promisify(execFile)('curl', [
    ...['--silent', '--show-error', '--max-time', '60', '--write-out', '\n%{http_code}', '--request', method, ...all, ...data],
    origin + fill(target, from),
  ])
  const end = stdout.lastIndexOf('\n')
  const text = stdout.slice(0, end)
  return { status: Number(stdout.slice(end + 1)), body: text === '' ? null : JSON.parse(text) }
}

/** The row of the contract that an example is of. */
const rowOf = ({ method, target }: Example) => {
  const path = target.slice('/api'.length).split('?')[0]
  return contractRows.find(([verb, pattern]) => verb === method && pattern === path)
}

/** What an example needs in addition to the common objects: ones that it may end, and a deployment that can be cancelled. */
async function idsFor({ method, target }: Example): Promise<Ids> {
  if (target.endsWith('/cancel')) return { ...ids, deployment_id: await post(`/web-services/${ids.web_service_id}/deployments`) }
  if (method !== 'DELETE') return ids
  const own = await createObjects()
  // Secrets and buckets in use are not deleted.
  if (target.endsWith('{secret_id}')) own.secret_id = await post(`/projects/${own.project_id}/secrets`, { key: 'UNUSED', value: 'unused' })
  if (target.endsWith('{bucket_id}')) own.bucket_id = await post('/storage/buckets', { name: `unused-${own.project_id}` })
  return own
}

it('the examples are those of the document, each of a row of the contract', () => {
  expect(parsed).toHaveLength(73)
  expect(parsed.filter((example) => !rowOf(example)).map(({ line }) => line)).toEqual([])
})

describe('by curl', () => {
  it.each(parsed.map((example) => [example.line, example] as const))('%s', async (_line, example) => {
    const [, , status, fields] = rowOf(example)!
    const answer = await curl(example, await idsFor(example), rest.acme.key.ADMIN)
    expect(answer).toMatchObject({ status })
    if (fields === null) expect(answer.body).toBeNull()
    else expect(Object.keys(answer.body)).toEqual(expect.arrayContaining(fields))
  })

  it('Authorization: Bearer ak_live_a1b2c3d4...', async () => {
    const example = parsed[0]!
    expect(await curl(example, ids, 'ak_live_a1b2c3d4...')).toMatchObject({ status: 401, body: { detail: expect.any(String) } })
    expect(await curl(example, ids, rest.acme.key.READ)).toMatchObject({ status: 200 })
  })

  it('Authorization: Bearer <access_token>', async () => {
    const { accessToken } = await signIn(rest.app, rest.acme.owner)
    expect(await curl(parsed[0]!, ids, accessToken)).toMatchObject({ status: 200 })
  })

  it('"detail": "Error message describing what went wrong", with the statuses of the document', async () => {
    const [list, create] = parsed as [Example, Example]
    const remove = parsed.find(({ line }) => line === 'DELETE /api/web-services/{web_service_id}')!
    const refused = { detail: expect.any(String) }
    expect(await curl({ ...create, body: '{}' }, ids, rest.acme.key.ADMIN)).toEqual({ status: 400, body: refused })
    expect(await curl(list, ids, 'nobody')).toEqual({ status: 401, body: refused })
    expect(await curl(remove, ids, rest.acme.key.WRITE)).toEqual({ status: 403, body: refused })
    expect(await curl(remove, { ...ids, web_service_id: 'unknown' }, rest.acme.key.ADMIN)).toEqual({ status: 404, body: refused })
  })
})
