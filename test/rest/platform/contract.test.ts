import { describe, expect, it } from 'vitest'
import { pathsOf } from '../../../src/rest/core/index.ts'
import { platformDialect, printOpenapi } from '../../../src/rest/platform/index.ts'

/**
 * The contract's rows that are served so far: method, path, status, and what the answer has at least. A row of the contract that
 * comes later is a line here with the issue that brings it.
 */
const project = ['id', 'name', 'description', 'workspace_id', 'service_summary', 'created_at', 'updated_at']
const webService = [
  ...[
    'id',
    'name',
    'status',
    'url',
    'subdomain',
    'project_id',
    'project_type',
    'environment',
    'source_type',
    'image_ref',
    'dockerfile_path',
  ],
  ...['git_repository_url', 'github_branch', 'github_repo_full_name', 'port', 'build_command', 'start_command'],
  ...['min_instances', 'max_instances', 'auto_deploy', 'created_at', 'updated_at'],
]
const deployment = [
  ...['id', 'web_service_id', 'status', 'branch', 'commit_sha', 'commit_message', 'image_ref', 'is_live', 'trigger_type', 'build_logs'],
  ...['error_message', 'rollback_from_deployment_id', 'started_at', 'finished_at', 'created_at'],
]
const envVar = ['id', 'web_service_id', 'key', 'value', 'is_secret', 'created_at', 'updated_at']
const secret = ['id', 'project_id', 'key', 'value', 'scope', 'is_secret', 'version', 'created_at', 'updated_at']
const binding = ['id', 'web_service_id', 'project_secret_id', 'secret_key', 'alias_key', 'created_at']
const database = [
  ...['id', 'kind', 'name', 'status', 'project_id', 'plan_name', 'memory_limit_mb', 'storage_limit_gb', 'internal_hostname'],
  ...['external_hostname', 'public_access_enabled', 'cpu_usage_percent', 'memory_usage_percent', 'instance_count', 'created_at'],
]
const metrics = [
  ...['cpu_usage_millicores', 'cpu_limit_millicores', 'cpu_usage_percent', 'memory_usage_bytes', 'memory_limit_bytes'],
  ...['memory_usage_percent', 'instance_count', 'timestamp'],
]
const state = ['id', 'kind', 'status']
const bucket = ['id', 'name', 'public', 'size_bytes', 'object_count', 'endpoint', 'created_at']
const storageKey = ['id', 'name', 'access_key_id', 'secret_access_key', 'buckets', 'permissions', 'created_at', 'endpoint', 'region']
const tenant = ['max_buckets', 'max_bytes', 'used_bytes', 'bucket_count', 'key_count', 'endpoint', 'region']
const aBucket = '/storage/buckets/{bucket_id}'
const aDatabase = '/databases/{database_id}'
const aRedis = '/redis/{redis_id}'
const service = '/web-services/{web_service_id}'
const secrets = '/projects/{project_id}/secrets'
const bindings = `${service}/secret-bindings`
const one = `${service}/deployments/{deployment_id}`

const email = '/email/services/{service_id}'

const rows: [string, string, number, string[] | null][] = [
  ['GET', '/email/tenant', 200, ['service_count', 'domain_count', 'sent_today', 'daily_limit', 'sent_this_month']],
  ['POST', '/email/services', 201, ['id', 'name', 'mode', 'created_at']],
  ['GET', '/email/services', 200, ['services', 'total']],
  ['PATCH', email, 200, ['id', 'name', 'mode', 'created_at']],
  ['DELETE', email, 204, null],
  ['POST', `${email}/api-keys`, 201, ['id', 'name', 'key_prefix', 'plaintext_key', 'created_at']],
  ['GET', `${email}/api-keys`, 200, ['api_keys', 'total']],
  ['POST', `${email}/domains`, 201, ['id', 'domain', 'status', 'records']],
  ['GET', `${email}/domains`, 200, ['domains', 'total']],
  ['POST', `${email}/domains/{domain_id}/verify`, 200, ['id', 'domain', 'status', 'records']],
  ['POST', `${email}/sandbox-emails`, 201, ['id', 'email', 'status', 'expires_at']],
  ['POST', `${email}/send`, 200, ['id', 'status', 'mode', 'from', 'to', 'message']],
  ['POST', `${email}/webhooks`, 201, ['id', 'url', 'events', 'secret', 'is_active', 'created_at']],
  ['GET', `${email}/stats`, 200, ['sent', 'delivered', 'bounced', 'complained', 'opened', 'clicked', 'failed']],
  ['POST', '/databases', 201, database],
  ['GET', '/databases', 200, ['databases', 'total']],
  ['GET', aDatabase, 200, database],
  ['PATCH', aDatabase, 200, database],
  ['DELETE', aDatabase, 204, null],
  ['POST', `${aDatabase}/start`, 200, state],
  ['POST', `${aDatabase}/stop`, 200, state],
  ['GET', `${aDatabase}/status`, 200, state],
  ['GET', `${aDatabase}/reveal`, 200, ['url']],
  ['POST', '/redis', 201, database],
  ['GET', '/redis', 200, ['redis_instances', 'total']],
  ['GET', aRedis, 200, database],
  ['PATCH', aRedis, 200, database],
  ['DELETE', aRedis, 204, null],
  ['POST', `${aRedis}/start`, 200, state],
  ['POST', `${aRedis}/stop`, 200, state],
  ['GET', `${aRedis}/status`, 200, state],
  ['GET', `${aRedis}/reveal`, 200, ['url']],
  ['GET', '/storage/tenant', 200, tenant],
  ['POST', '/storage/buckets', 201, bucket],
  ['GET', '/storage/buckets', 200, ['buckets', 'total']],
  ['PATCH', aBucket, 200, bucket],
  ['DELETE', aBucket, 204, null],
  ['POST', '/storage/keys', 201, storageKey],
  ['GET', '/storage/keys', 200, ['keys', 'total']],
  ['DELETE', '/storage/keys/{key_id}', 204, null],
  ['POST', `${aBucket}/presign`, 200, ['url', 'method', 'expires_at', 'headers']],
  ['POST', `${service}/connections`, 201, ['id', 'target_type', 'target_id', 'env_var_key']],
  ['GET', '/plans', 200, ['plans', 'total']],
  ['GET', '/users/me', 200, ['id', 'email', 'name', 'active_workspace_name', 'created_at']],
  ['GET', '/users/me/api-key', 200, ['id', 'name', 'key_prefix', 'scope', 'expires_at', 'last_used_at']],
  ['GET', '/api-keys', 200, ['api_keys', 'total']],
  ['POST', '/api-keys', 201, ['id', 'name', 'key_prefix', 'scope', 'expires_at', 'plaintext_key']],
  ['POST', '/api-keys/{api_key_id}/rotate', 200, ['id', 'plaintext_key']],
  ['DELETE', '/api-keys/{api_key_id}', 204, null],
  ['GET', '/projects', 200, ['projects', 'total']],
  ['POST', '/projects', 201, project],
  ['GET', '/projects/{project_id}', 200, [...project, 'web_services_list', 'databases_list', 'redis_list']],
  ['GET', '/web-services', 200, ['web_services', 'total']],
  ['POST', '/web-services', 201, webService],
  ['GET', service, 200, webService],
  ['PATCH', service, 200, webService],
  ['DELETE', service, 204, null],
  ['POST', `${service}/start`, 200, webService],
  ['POST', `${service}/stop`, 200, webService],
  ['POST', `${service}/restart`, 200, webService],
  ['GET', `${service}/metrics`, 200, metrics],
  ['GET', `${service}/metrics/history`, 200, ['data_points', 'period_seconds']],
  ['GET', `${service}/logs`, 200, ['logs', 'container_id', 'timestamp']],
  ['GET', `${service}/deployments`, 200, ['deployments', 'total']],
  ['POST', `${service}/deployments`, 201, deployment],
  ['POST', `${service}/deploy`, 201, deployment],
  ['GET', one, 200, deployment],
  ['POST', `${one}/cancel`, 200, deployment],
  ['POST', `${one}/rollback`, 201, deployment],
  ['GET', `${service}/env`, 200, ['environment_variables', 'total']],
  ['GET', `${service}/env/reveal-all`, 200, ['environment_variables', 'total']],
  ['GET', `${service}/env/{var_id}/reveal`, 200, envVar],
  ['POST', `${service}/env`, 201, envVar],
  ['PATCH', `${service}/env/{var_id}`, 200, envVar],
  ['PUT', `${service}/env/bulk`, 200, ['environment_variables', 'total']],
  ['DELETE', `${service}/env/{var_id}`, 204, null],
  ['GET', secrets, 200, ['secrets', 'total']],
  ['POST', secrets, 201, secret],
  ['GET', `${secrets}/{secret_id}/reveal`, 200, secret],
  ['PATCH', `${secrets}/{secret_id}`, 200, secret],
  ['PUT', `${secrets}/bulk`, 200, ['secrets', 'total']],
  ['DELETE', `${secrets}/{secret_id}`, 204, null],
  ['GET', bindings, 200, ['bindings', 'total']],
  ['POST', bindings, 201, binding],
  ['GET', `${bindings}/resolved`, 200, ['variables', 'total']],
  ['PUT', `${bindings}/bulk`, 200, ['bindings', 'total']],
  ['DELETE', `${bindings}/{binding_id}`, 204, null],
]

type Schema = { $ref?: string; required?: string[] }
type Document = {
  paths: Record<string, Record<string, { responses: Record<string, { content?: Record<string, { schema: Schema }> }> }>>
  components: { schemas: Record<string, Schema> }
}
const document = JSON.parse(printOpenapi()) as Document

describe('the contract', () => {
  it.each(rows)('%s %s answers %i with the fields of the contract', (method, path, status, fields) => {
    const { responses } = document.paths[`/api${path}`]![method.toLowerCase()]!
    const success = Object.keys(responses).filter((code) => code.startsWith('2'))
    // With its code, a sandbox recipient is not added but verified.
    expect(success).toEqual(path.endsWith('/sandbox-emails') ? ['200', '201'] : [String(status)])
    const reference = responses[status]!.content?.['application/json']?.schema.$ref
    const schema = reference === undefined ? null : document.components.schemas[reference.split('/').at(-1)!]!
    expect(schema?.required ?? null).toEqual(fields === null ? null : expect.arrayContaining(fields))
  })

  it('no other path is served', () => {
    const served = platformDialect.routes.flatMap((route) => pathsOf(route).map((path) => `${route.method} ${path}`))
    expect(served.sort()).toEqual(rows.map(([method, path]) => `${method} ${path}`).sort())
  })
})
