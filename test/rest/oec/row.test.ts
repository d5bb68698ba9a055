/** The rows of the contract, `routes.md` B and decisions.md: each is served, with the status and at least the fields of the contract. */
import { describe, expect, it } from 'vitest'
import { pathsOf } from '../../../src/rest/core/index.ts'
import { oecDialect, printOpenapi } from '../../../src/rest/oec/index.ts'
import { readDocument } from '../contract-document.ts'

const list = ['items', 'total', 'page', 'page_size']
const project = ['id', 'name', 'slug', 'environment_count', 'created_at']
const environment = [
  ...['id', 'name', 'environment_type', 'status', 'url', 'branch', 'last_commit', 'project_id', 'server_id', 'custom_domain'],
  ...['created_at', 'updated_at'],
]
const action = ['task_id', 'status', 'environment_id', 'poll_url']
const webhook = [
  ...['id', 'url', 'events', 'description', 'project_id', 'format', 'is_active', 'last_triggered_at', 'failure_count', 'created_at'],
]
const task = [
  ...['id', 'type', 'status', 'environment_id', 'progress_percent', 'current_step', 'steps_completed', 'total_steps', 'started_at'],
  ...['completed_at', 'duration_seconds', 'error_message'],
]
const key = ['id', 'name', 'type', 'scope', 'project_id', 'prefix', 'status', 'last_used_at', 'expires_at', 'created_at']

/** Method, path, status, fields of the response or null for none, and fields of an item of a list. */
type Row = [method: string, path: string, status: number, fields: string[] | null, item?: string[]]

const ofRoutes: Row[] = [
  ['GET', '/projects', 200, list, project],
  ['GET', '/projects/{id}', 200, [...project, 'status', 'default_branch', 'updated_at']],
  ['GET', '/projects/{id}/environments', 200, list, environment],
  ['GET', '/environments/{id}', 200, environment],
  ['POST', '/environments/{id}/actions/start', 202, action],
  ['POST', '/environments/{id}/actions/stop', 202, action],
  ['POST', '/environments/{id}/actions/restart', 202, action],
  ['POST', '/environments/{id}/actions/deploy', 202, action],
  ['POST', '/environments/{id}/actions/redeploy', 202, action],
  ['POST', '/environments/{id}/actions/update-modules', 202, action],
  ['GET', '/webhooks', 200, list, webhook],
  ['POST', '/webhooks', 201, [...webhook, 'secret']],
  ['GET', '/webhooks/{id}', 200, webhook],
  ['PATCH', '/webhooks/{id}', 200, webhook],
  ['DELETE', '/webhooks/{id}', 204, null],
  ['GET', '/api-keys', 200, list, key],
  ['DELETE', '/api-keys/{id}', 204, null],
]

const ofDecisions: Row[] = [
  ['POST', '/environments/{id}/start', 202, action],
  ['POST', '/environments/{id}/stop', 202, action],
  ['POST', '/environments/{id}/restart', 202, action],
  ['POST', '/environments/{id}/deploy', 202, action],
  ['POST', '/environments/{id}/redeploy', 202, action],
  ['POST', '/environments/{id}/update-modules', 202, action],
  ['POST', '/environments/{id}/quick-update', 202, action],
  ['GET', '/deployments/{id}', 200, task],
  ['GET', '/deployments/{id}/logs', 200, ['task_id', 'log', 'lines', 'truncated']],
  ['GET', '/environments/{id}/deployments', 200, list, task],
  ['GET', '/environments/{id}/status', 200, ['status', 'url', 'container_running', 'db_ready', 'http_ok', 'last_deploy']],
  ['GET', '/environments/{id}/logs', 200, ['task_id', 'log', 'lines', 'truncated']],
  ['POST', '/webhooks/{id}/test', 202, ['id', 'event', 'status']],
  ['POST', '/webhooks/{id}/rotate-secret', 200, [...webhook, 'secret']],
  ['GET', '/webhooks/{id}/deliveries', 200, list, ['id', 'event', 'status', 'attempts', 'response_status']],
]

const { document, unnamed, resolved } = readDocument(printOpenapi())

describe('the contract', () => {
  const rows = [...ofRoutes, ...ofDecisions]

  it.each(rows)('%s %s answers %i with the fields of the contract', (method, path, status, fields, item) => {
    const served = Object.keys(document.paths).find((each) => unnamed(each) === `/api/public/v1${path}`)
    const operation = document.paths[served ?? '']?.[method.toLowerCase()]
    expect(Object.keys(operation?.responses ?? {}).filter((code) => code.startsWith('2'))).toEqual([String(status)])
    const schema = resolved(operation!.responses[status]!.content?.['application/json']?.schema)
    expect(schema?.required ?? null).toEqual(fields && expect.arrayContaining(fields))
    if (item) expect(resolved(schema?.properties?.items?.items)?.required).toEqual(expect.arrayContaining(item))
  })

  it('no other path is served', () => {
    const served = oecDialect.routes.flatMap((route) => pathsOf(route).map((path) => `${route.method} ${unnamed(path)}`))
    const others = served.filter((row) => !rows.some(([method, path]) => row === `${method} ${path}`))
    expect(others.filter((row) => !/\/(actions\/)?quick-update$/.test(row))).toEqual([])
  })
})
