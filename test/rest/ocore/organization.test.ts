import { afterAll, beforeAll, expect, it } from 'vitest'
import { newRow, run, sql } from '../../../src/platform/db/index.ts'
import { newId } from '../../../src/platform/id.ts'
import { ocoreDialect } from '../../../src/rest/ocore/index.ts'
import { signIn } from '../../support/person.ts'
import { ocoreKeys, startRest, type TestServer } from '../support.ts'

let rest: TestServer
beforeAll(async () => {
  rest = await startRest([ocoreDialect], {}, ocoreKeys)
})
afterAll(() => rest?.close())

const call = (method: string, path: string, body?: unknown) => rest.call(method, `/api${path}`, { key: rest.acme.key.ADMIN, body })

it('the organization is shown and renamed, and a slug of another one answers 409', async () => {
  const { body: organization } = await call('GET', '/org')
  expect(organization).toMatchObject({ id: rest.acme.organizationId, name: 'acme', slug: 'acme', logoUrl: null })
  expect(await call('PUT', '/org', { name: 'Acme Inc.' })).toMatchObject({
    status: 200,
    body: { id: organization.id, name: 'Acme Inc.', slug: 'acme' },
  })
  expect(await call('PUT', '/org', { slug: 'other' })).toMatchObject({
    status: 409,
    body: { error: { code: 'conflict', details: { field: 'slug', constraint: 'slug_taken' } } },
  })
})

it('roles are created, listed with their members, changed and deleted, and system roles are not', async () => {
  const { body: permissions } = await call('GET', '/permissions')
  expect(permissions.data).toContainEqual({
    ...{ id: 'deploy:web_services', action: 'deploy', resource: 'web_services' },
    description: expect.any(String),
  })
  const made = await call('POST', '/roles', { name: 'Deployer', description: 'Ships', permissionIds: ['deploy:web_services'] })
  const role = { name: 'Deployer', description: 'Ships', isSystem: false, permissions: ['deploy:web_services'], memberCount: 0 }
  expect(made).toMatchObject({ status: 201, body: role })
  const { body: roles } = await call('GET', '/roles')
  const owner = roles.data.find(({ name }: { name: string }) => name === 'Owner')
  expect(owner).toMatchObject({ isSystem: true, memberCount: 1 })
  expect(roles.data).toContainEqual(made.body)
  const path = `/roles/${made.body.id}`
  expect(await call('PUT', path, { permissionIds: ['view:projects'] })).toMatchObject({
    status: 200,
    body: { name: 'Deployer', permissions: ['view:projects'] },
  })
  expect(await call('POST', '/roles', { name: 'deployer', permissionIds: [] })).toMatchObject({ status: 400 })
  expect(await call('POST', '/roles', { name: 'deployer', permissionIds: ['view:projects'] })).toMatchObject({ status: 409 })
  expect(await call('PUT', path, { permissionIds: ['fly:kites'] })).toMatchObject({
    status: 400,
    body: { error: { message: 'permissionIds: must contain only permissionIds that exist' } },
  })
  expect(await call('PUT', `/roles/${owner.id}`, { name: 'Boss' })).toMatchObject({
    status: 422,
    body: { error: { code: 'unprocessable' } },
  })
  expect(await call('DELETE', path)).toMatchObject({ status: 200, body: { message: 'Role deleted' } })
})

it('members are invited and listed, and the last owner stays one', async () => {
  const { data: roles } = (await call('GET', '/roles')).body
  const viewer = roles.find(({ name }: { name: string }) => name === 'Viewer')
  expect(await call('POST', '/members/invite', { email: 'ada@example.com', roleId: viewer.id })).toMatchObject({
    status: 201,
    body: { email: 'ada@example.com', status: 'pending', link: expect.stringContaining('/login') },
  })
  const { data: members } = (await call('GET', '/members')).body
  expect(members).toMatchObject([{ user: { name: 'acme', email: 'acme@quayside.localhost' }, role: { name: 'Owner' } }])
  const path = `/members/${members[0].id}`
  expect(await call('PUT', `${path}/role`, {})).toMatchObject({
    status: 400,
    body: { error: { details: { field: 'roleId', constraint: 'required' } } },
  })
  expect(await call('PUT', `${path}/role`, { roleId: viewer.id })).toMatchObject({ status: 422 })
  expect(await call('DELETE', path)).toMatchObject({ status: 422 })
})

it('a member leaves, and the last owner cannot', async () => {
  const leave = (key: string) => rest.call('POST', '/api/members/leave', { key, headers: { 'x-org-slug': 'acme' } })
  const { accessToken } = await signIn(rest.app, rest.acme.owner)
  expect(await leave(accessToken)).toMatchObject({ status: 422, body: { error: { code: 'unprocessable', details: {} } } })
  const { data: roles } = (await call('GET', '/roles')).body
  const roleId = roles.find(({ name }: { name: string }) => name === 'Viewer').id
  const guest = { id: newId(), organizationId: rest.acme.organizationId, userId: rest.other.owner.userId, roleId }
  await run(rest.app.db, sql`insert into member ${newRow(guest)}`)
  const token = (await signIn(rest.app, rest.other.owner)).accessToken
  expect(await leave(token)).toMatchObject({ status: 200, body: { message: 'You have left the organization' } })
  expect(await leave(token)).toMatchObject({ status: 404 })
})

it('the organization is deleted only by a request that names it', async () => {
  expect(await call('DELETE', '/org')).toMatchObject({
    status: 400,
    body: { error: { details: { field: 'X-Org-Slug', constraint: 'required' } } },
  })
  const { accessToken: key } = await signIn(rest.app, rest.acme.owner)
  const deleted = await rest.call('DELETE', '/api/org', { key, headers: { 'x-org-slug': 'acme' } })
  expect(deleted).toMatchObject({ status: 202, body: { id: expect.any(String), status: 'deleting', message: expect.any(String) } })
  expect(await call('GET', '/projects')).toMatchObject({ status: 403 })
})
