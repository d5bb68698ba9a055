/** The rows of the contract, `routes.md` C and decisions.md: each is served, with the status and at least the fields of the contract. */
import { describe, expect, it } from 'vitest'
import { pathsOf } from '../../../src/rest/core/index.ts'
import { ocoreDialect, printOpenapi } from '../../../src/rest/ocore/index.ts'
import { readDocument } from '../contract-document.ts'

const list = ['data', 'has_more']
const job = ['id', 'status', 'message']
const message = ['message']
const user = ['id', 'email', 'name', 'totpEnabled', 'createdAt']
const sshKey = ['id', 'label', 'keyType', 'fingerprint', 'createdAt', 'lastUsedAt']
const passkey = ['id', 'deviceName', 'transport', 'backupState', 'createdAt', 'lastUsedAt']
const organization = ['id', 'name', 'slug', 'logoUrl', 'createdAt', 'updatedAt']
const member = ['id', 'user', 'role', 'joinedAt']
const role = ['id', 'name', 'description', 'isSystem', 'permissions', 'memberCount']
const apiKey = ['id', 'name', 'prefix', 'permissions', 'scope', 'createdAt', 'expiresAt', 'lastUsedAt']
const webhookEndpoint = ['id', 'url', 'events', 'description', 'active', 'secret', 'createdAt', 'updatedAt']
const auditLog = [
  ...['id', 'action', 'resourceType', 'resourceId', 'resourceName', 'userId', 'userName', 'ipAddress', 'userAgent'],
  ...['beforeState', 'afterState', 'createdAt'],
]
const adminUser = [
  ...['id', 'email', 'name', 'emailVerified', 'isServerAdmin', 'orgCount', 'totpEnabled', 'lastLoginAt', 'deactivatedAt', 'createdAt'],
]
const adminJob = ['id', 'type', 'status', 'attempts', 'error', 'createdAt', 'finishedAt']
const project = ['id', 'name', 'slug', 'description', 'environmentCount', 'instanceCount', 'createdAt', 'updatedAt']
const deployment = [
  ...['id', 'instanceId', 'branch', 'commitSha', 'commitMessage', 'commitAuthor', 'status', 'errorMessage', 'durationMs'],
  ...['createdAt', 'completedAt'],
]
const environment = ['id', 'projectId', 'name', 'environmentType', 'branch', 'status', 'instanceId', 'createdAt', 'updatedAt']

const server = [
  ...['id', 'name', 'host', 'port', 'sshUser', 'authMethod', 'status', 'statusMessage', 'cpuCores', 'ramTotalBytes'],
  ...['osName', 'osVersion', 'lastSeenAt', 'createdAt'],
]

/** Method, path, status, fields of the response, and fields of an item of a list. */
type Row = [method: string, path: string, status: number, fields: string[], item?: string[]]

const served: Row[] = [
  ['GET', '/user', 200, user],
  ['PATCH', '/user', 200, user],
  ['POST', '/user/change-password', 200, message],
  ['POST', '/user/totp/setup', 200, ['secret', 'otpauthUrl']],
  ['POST', '/user/totp/enable', 200, ['recoveryCodes']],
  ['POST', '/user/totp/disable', 200, message],
  ['GET', '/user/sessions', 200, list, ['id', 'ipAddress', 'userAgent', 'createdAt', 'lastUsedAt', 'current']],
  ['DELETE', '/user/sessions/{id}', 200, message],
  ['GET', '/user/ssh-keys', 200, list, sshKey],
  ['POST', '/user/ssh-keys', 201, sshKey],
  ['DELETE', '/user/ssh-keys/{id}', 200, message],
  ['GET', '/user/passkeys', 200, list, passkey],
  ['POST', '/user/passkeys/register/begin', 200, ['challenge', 'rp', 'user']],
  ['POST', '/user/passkeys/register/finish', 200, passkey],
  ['DELETE', '/user/passkeys/{id}', 200, message],
  ['GET', '/org', 200, organization],
  ['PUT', '/org', 200, organization],
  ['DELETE', '/org', 202, job],
  ['POST', '/members/invite', 201, ['id', 'email', 'status', 'expiresAt']],
  ['GET', '/members', 200, list, member],
  ['PUT', '/members/{id}/role', 200, member],
  ['DELETE', '/members/{id}', 200, message],
  ['GET', '/roles', 200, list, role],
  ['GET', '/permissions', 200, list, ['id', 'action', 'resource', 'description']],
  ['POST', '/roles', 201, role],
  ['PUT', '/roles/{id}', 200, role],
  ['DELETE', '/roles/{id}', 200, message],
  ['POST', '/servers', 201, server],
  ['POST', '/servers/{id}/validate', 202, job],
  ['GET', '/servers', 200, list, server],
  ['GET', '/servers/{id}', 200, server],
  ['DELETE', '/servers/{id}', 202, job],
  ['GET', '/projects', 200, list, project],
  ['POST', '/projects', 201, project],
  ['GET', '/projects/{id}', 200, project],
  ['PATCH', '/projects/{id}', 200, project],
  ['DELETE', '/projects/{id}', 200, message],
  ['GET', '/projects/{id}/deployments', 200, list, deployment],
  ['POST', '/projects/{id}/deployments', 202, [...deployment, 'message']],
  ['GET', '/projects/{id}/deployments/{id}', 200, deployment],
  ['POST', '/projects/{id}/deployments/{id}/rollback', 202, [...job, 'deploymentId', 'environmentId']],
  ['GET', '/environments', 200, list, environment],
  ['POST', '/environments', 201, environment],
  ['GET', '/environments/{id}', 200, environment],
  ['PATCH', '/environments/{id}', 200, environment],
  ['DELETE', '/environments/{id}', 202, job],
  ['GET', '/api-keys', 200, list, apiKey],
  ['POST', '/api-keys', 201, [...apiKey, 'key']],
  ['DELETE', '/api-keys/{id}', 200, message],
  ['GET', '/webhook-endpoints', 200, list, webhookEndpoint],
  ['POST', '/webhook-endpoints', 201, [...webhookEndpoint, 'signingSecret']],
  ['GET', '/webhook-endpoints/{id}', 200, webhookEndpoint],
  ['PATCH', '/webhook-endpoints/{id}', 200, webhookEndpoint],
  ['DELETE', '/webhook-endpoints/{id}', 200, message],
  ['GET', '/webhook-endpoints/{id}/deliveries', 200, list, ['id', 'event', 'status']],
  ['POST', '/webhook-endpoints/{id}/deliveries/{id}/replay', 202, job],
  ['POST', '/webhook-endpoints/{id}/replay', 202, job],
  ['POST', '/webhook-endpoints/{id}/test', 202, job],
  ['GET', '/audit-logs', 200, list, auditLog],
  ['GET', '/admin/users', 200, list, adminUser],
  ['POST', '/admin/users', 201, adminUser],
  ['POST', '/admin/users/{id}/deactivate', 200, adminUser],
  ['POST', '/admin/users/{id}/reactivate', 200, adminUser],
  ['GET', '/admin/orgs', 200, list, ['id', 'name', 'slug', 'memberCount', 'createdAt']],
  ['GET', '/admin/settings', 200, ['signUp']],
  ['PUT', '/admin/settings', 200, ['signUp']],
  ['GET', '/admin/jobs', 200, list, adminJob],
  ['POST', '/admin/jobs/{id}/retry', 200, adminJob],
]

/** Rows of the contract that no dialect serves yet. `/auth` is a dialect of its own. */
const missing: Record<string, string[]> = {
  'issue 22, step 1': [],
  'issue 22, later steps': [
    ...['GET /instances', 'POST /instances', 'GET /instances/{id}', 'PATCH /instances/{id}', 'DELETE /instances/{id}'],
    ...['POST /instances/{id}/start', 'POST /instances/{id}/stop'],
    ...['GET /instances/{id}/database', 'POST /instances/{id}/database', 'DELETE /instances/{id}/database/{id}'],
    ...['GET /instances/{id}/database/config', 'PATCH /instances/{id}/database/config', 'GET /instances/{id}/database/metrics'],
    ...['GET /instances/{id}/database/replicas', 'POST /instances/{id}/database/replicas'],
    'DELETE /instances/{id}/database/replicas/{id}',
    ...['GET /environments/{id}/backups', 'POST /environments/{id}/backups', 'GET /environments/{id}/backups/schedule'],
    ...['PUT /environments/{id}/backups/schedule', 'POST /environments/{id}/backups/{id}/restore'],
    ...['GET /instances/{id}/domains', 'POST /instances/{id}/domains', 'POST /instances/{id}/domains/{id}/verify'],
    ...['PUT /instances/{id}/domains/{id}/primary', 'DELETE /instances/{id}/domains/{id}'],
  ],
}

/** Rows of table C without those of `/auth`. */
const rowsOfTable = 86

/** Rows that only decisions.md or the issue names. */
const beyondTable = [
  'POST /user/change-password',
  'GET /webhook-endpoints/{id}/deliveries',
  'POST /webhook-endpoints/{id}/deliveries/{id}/replay',
  'POST /webhook-endpoints/{id}/replay',
  'POST /webhook-endpoints/{id}/test',
  ...['POST /admin/users/{id}/deactivate', 'POST /admin/users/{id}/reactivate', 'POST /admin/jobs/{id}/retry'],
]

const { document, unnamed, resolved } = readDocument(printOpenapi())

describe('the contract', () => {
  it.each(served)('%s %s answers %i with the fields of the contract', (method, path, status, fields, item) => {
    const at = Object.keys(document.paths).find((each) => unnamed(each) === `/api${path}`)
    const operation = document.paths[at ?? '']?.[method.toLowerCase()]
    const successes = Object.keys(operation?.responses ?? {}).filter((code) => code.startsWith('2'))
    expect(successes).toEqual([String(status)])
    const schema = resolved(operation!.responses[status]!.content?.['application/json']?.schema)
    expect(schema?.required).toEqual(expect.arrayContaining(fields))
    if (item) expect(resolved(schema?.properties?.data?.items)?.required).toEqual(expect.arrayContaining(item))
  })

  it('no other path is served', () => {
    const paths = ocoreDialect.routes.flatMap((route) => pathsOf(route).map((path) => `${route.method} ${unnamed(path)}`))
    expect(paths.sort()).toEqual(served.map(([method, path]) => `${method} ${path}`).sort())
  })

  it('each of its rows is served, or listed with the step that brings it', () => {
    const rows = [...served.map(([method, path]) => `${method} ${path}`), ...Object.values(missing).flat()]
    expect(new Set(rows).size).toBe(rowsOfTable + beyondTable.length)
    expect(rows).toEqual(expect.arrayContaining(beyondTable))
  })
})
