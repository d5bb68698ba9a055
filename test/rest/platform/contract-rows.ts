/**
 * The contract's rows, copied from its list of routes: method, path, status, what the answer has at least, and who may use the row. Where several
 * rows of one list concern the same object, its path is abbreviated.
 */

/** The scopes of keys that may use a row: `R` all, `W` write and admin, `A` admin. `P`: people who are signed in, and no key. */
export type Auth = 'R' | 'W' | 'A' | 'P'

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
export type ContractRow = [method: string, path: string, status: number, fields: string[] | null, auth: Auth]

export const contractRows: readonly ContractRow[] = [
  ['GET', '/email/tenant', 200, ['service_count', 'domain_count', 'sent_today', 'daily_limit', 'sent_this_month'], 'R'],
  ['POST', '/email/services', 201, ['id', 'name', 'mode', 'created_at'], 'W'],
  ['GET', '/email/services', 200, ['services', 'total'], 'R'],
  ['PATCH', email, 200, ['id', 'name', 'mode', 'created_at'], 'W'],
  ['DELETE', email, 204, null, 'A'],
  ['POST', `${email}/api-keys`, 201, ['id', 'name', 'key_prefix', 'plaintext_key', 'created_at'], 'W'],
  ['GET', `${email}/api-keys`, 200, ['api_keys', 'total'], 'R'],
  ['POST', `${email}/domains`, 201, ['id', 'domain', 'status', 'records'], 'W'],
  ['GET', `${email}/domains`, 200, ['domains', 'total'], 'R'],
  ['POST', `${email}/domains/{domain_id}/verify`, 200, ['id', 'domain', 'status', 'records'], 'W'],
  ['POST', `${email}/sandbox-emails`, 201, ['id', 'email', 'status', 'expires_at'], 'W'],
  ['POST', `${email}/send`, 200, ['id', 'status', 'mode', 'from', 'to', 'message'], 'W'],
  ['POST', `${email}/webhooks`, 201, ['id', 'url', 'events', 'secret', 'is_active', 'created_at'], 'W'],
  ['GET', `${email}/stats`, 200, ['sent', 'delivered', 'bounced', 'complained', 'opened', 'clicked', 'failed'], 'R'],
  ['POST', '/databases', 201, database, 'W'],
  ['GET', '/databases', 200, ['databases', 'total'], 'R'],
  ['GET', aDatabase, 200, database, 'R'],
  ['PATCH', aDatabase, 200, database, 'W'],
  ['DELETE', aDatabase, 204, null, 'A'],
  ['POST', `${aDatabase}/start`, 200, state, 'W'],
  ['POST', `${aDatabase}/stop`, 200, state, 'W'],
  ['GET', `${aDatabase}/status`, 200, state, 'R'],
  ['GET', `${aDatabase}/reveal`, 200, ['url'], 'W'],
  ['POST', '/redis', 201, database, 'W'],
  ['GET', '/redis', 200, ['redis_instances', 'total'], 'R'],
  ['GET', aRedis, 200, database, 'R'],
  ['PATCH', aRedis, 200, database, 'W'],
  ['DELETE', aRedis, 204, null, 'A'],
  ['POST', `${aRedis}/start`, 200, state, 'W'],
  ['POST', `${aRedis}/stop`, 200, state, 'W'],
  ['GET', `${aRedis}/status`, 200, state, 'R'],
  ['GET', `${aRedis}/reveal`, 200, ['url'], 'W'],
  ['GET', '/storage/tenant', 200, tenant, 'R'],
  ['POST', '/storage/buckets', 201, bucket, 'W'],
  ['GET', '/storage/buckets', 200, ['buckets', 'total'], 'R'],
  ['PATCH', aBucket, 200, bucket, 'W'],
  ['DELETE', aBucket, 204, null, 'A'],
  ['POST', '/storage/keys', 201, storageKey, 'W'],
  ['GET', '/storage/keys', 200, ['keys', 'total'], 'R'],
  ['DELETE', '/storage/keys/{key_id}', 204, null, 'A'],
  ['POST', `${aBucket}/presign`, 200, ['url', 'method', 'expires_at', 'headers'], 'W'],
  ['POST', `${service}/connections`, 201, ['id', 'target_type', 'target_id', 'env_var_key'], 'W'],
  ['GET', '/plans', 200, ['plans', 'total'], 'R'],
  ['GET', '/users/me', 200, ['id', 'email', 'name', 'active_workspace_name', 'created_at'], 'R'],
  ['GET', '/users/me/api-key', 200, ['id', 'name', 'key_prefix', 'scope', 'expires_at', 'last_used_at'], 'R'],
  ['GET', '/api-keys', 200, ['api_keys', 'total'], 'P'],
  ['POST', '/api-keys', 201, ['id', 'name', 'key_prefix', 'scope', 'expires_at', 'plaintext_key'], 'P'],
  ['POST', '/api-keys/{api_key_id}/rotate', 200, ['id', 'plaintext_key'], 'P'],
  ['DELETE', '/api-keys/{api_key_id}', 204, null, 'P'],
  ['GET', '/projects', 200, ['projects', 'total'], 'R'],
  ['POST', '/projects', 201, project, 'W'],
  ['GET', '/projects/{project_id}', 200, [...project, 'web_services_list', 'databases_list', 'redis_list'], 'R'],
  ['GET', '/web-services', 200, ['web_services', 'total'], 'R'],
  ['POST', '/web-services', 201, webService, 'W'],
  ['GET', service, 200, webService, 'R'],
  ['PATCH', service, 200, webService, 'W'],
  ['DELETE', service, 204, null, 'A'],
  ['POST', `${service}/start`, 200, webService, 'W'],
  ['POST', `${service}/stop`, 200, webService, 'W'],
  ['POST', `${service}/restart`, 200, webService, 'W'],
  ['GET', `${service}/metrics`, 200, metrics, 'R'],
  ['GET', `${service}/metrics/history`, 200, ['data_points', 'period_seconds'], 'R'],
  ['GET', `${service}/logs`, 200, ['logs', 'container_id', 'timestamp'], 'R'],
  ['GET', `${service}/deployments`, 200, ['deployments', 'total'], 'R'],
  ['POST', `${service}/deployments`, 201, deployment, 'W'],
  ['POST', `${service}/deploy`, 201, deployment, 'W'],
  ['GET', one, 200, deployment, 'R'],
  ['POST', `${one}/cancel`, 200, deployment, 'W'],
  ['POST', `${one}/rollback`, 201, deployment, 'W'],
  ['GET', `${service}/env`, 200, ['environment_variables', 'total'], 'R'],
  ['GET', `${service}/env/reveal-all`, 200, ['environment_variables', 'total'], 'W'],
  ['GET', `${service}/env/{var_id}/reveal`, 200, envVar, 'W'],
  ['POST', `${service}/env`, 201, envVar, 'W'],
  ['PATCH', `${service}/env/{var_id}`, 200, envVar, 'W'],
  ['PUT', `${service}/env/bulk`, 200, ['environment_variables', 'total'], 'W'],
  ['DELETE', `${service}/env/{var_id}`, 204, null, 'A'],
  ['GET', secrets, 200, ['secrets', 'total'], 'R'],
  ['POST', secrets, 201, secret, 'W'],
  ['GET', `${secrets}/{secret_id}/reveal`, 200, secret, 'W'],
  ['PATCH', `${secrets}/{secret_id}`, 200, secret, 'W'],
  ['PUT', `${secrets}/bulk`, 200, ['secrets', 'total'], 'W'],
  ['DELETE', `${secrets}/{secret_id}`, 204, null, 'A'],
  ['GET', bindings, 200, ['bindings', 'total'], 'R'],
  ['POST', bindings, 201, binding, 'W'],
  ['GET', `${bindings}/resolved`, 200, ['variables', 'total'], 'R'],
  ['PUT', `${bindings}/bulk`, 200, ['bindings', 'total'], 'W'],
  ['DELETE', `${bindings}/{binding_id}`, 204, null, 'A'],
]
