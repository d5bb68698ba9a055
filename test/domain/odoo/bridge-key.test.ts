/** API keys of the Odoo bridge: bound to an account, and able to do nothing else. */
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { callerOfKey, endOfKey } from '../../../src/domain/access/api-key/index.ts'
import { newId } from '../../../src/platform/id.ts'
import { useOdoo } from './support.ts'

const used = useOdoo()

const createText = `mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) { plaintextKey apiKey { ${'id prefix'} } } }`
const create = async (input: Record<string, unknown>) =>
  (await used.run(createText, { input: { name: 'sheet', kind: 'BRIDGE', scope: 'WRITE', ...input } })).createApiKey as {
    plaintextKey: string
    apiKey: { id: string; prefix: string }
  }
const refused = (input: Record<string, unknown>, caller?: Parameters<typeof used.refused>[2]) =>
  used.refused(createText, { input: { name: 'sheet', kind: 'BRIDGE', scope: 'WRITE', ...input } }, caller)
const show = async (id: string) =>
  (
    await used.run(
      'query ($id: ID!) { node(id: $id) { ... on ApiKey { kind status permissions allowedModels allowedMethods odooAccount { id } } } }',
      { id },
    )
  ).node

describe('a key of the bridge', () => {
  it('is bound to an account and to what it may call', async () => {
    const { id: odooAccountId } = await used.account()
    const { plaintextKey, apiKey } = await create({
      odooAccountId,
      allowedModels: ['sale.*', 'res.partner'],
      allowedMethods: ['search_read'],
    })
    expect(plaintextKey).toMatch(/^qb_live_[\w-]{51}$/)
    expect(await show(apiKey.id)).toEqual({
      ...{ kind: 'BRIDGE', status: 'active', permissions: ['call:odoo'], odooAccount: { id: odooAccountId } },
      ...{ allowedModels: ['sale.*', 'res.partner'], allowedMethods: ['search_read'] },
    })
    const caller = await callerOfKey(used.app, plaintextKey)
    expect([...caller!.permissions]).toEqual(['call:odoo'])
    const free = await create({ odooAccountId })
    expect(await show(free.apiKey.id)).toMatchObject({ allowedModels: null, allowedMethods: null })
  })

  it('is imported by its hash', async () => {
    const { id: odooAccountId } = await used.account()
    const text = 'qb_live_former-system-key'
    const { importApiKey } = await used.run('mutation ($input: ImportApiKeyInput!) { importApiKey(input: $input) { apiKey { id } } }', {
      input: {
        ...{ name: 'former', kind: 'BRIDGE', scope: 'WRITE', odooAccountId, prefix: 'qb_live_form' },
        sha256: createHash('sha256').update(text).digest('hex'),
      },
    })
    expect(await show(importApiKey.apiKey.id)).toMatchObject({ odooAccount: { id: odooAccountId } })
    expect(await callerOfKey(used.app, text)).toMatchObject({ organizationId: used.tenant.organizationId })
  })

  it('is revoked with its account, and says so', async () => {
    const { id: odooAccountId } = await used.account()
    const { plaintextKey, apiKey } = await create({ odooAccountId })
    expect(await endOfKey(used.app, plaintextKey)).toBeNull()
    await used.run('mutation ($id: ID!) { deleteOdooAccount(input: {id: $id}) { deletedId } }', { id: odooAccountId })
    expect(await show(apiKey.id)).toMatchObject({ status: 'revoked', odooAccount: null })
    expect(await endOfKey(used.app, plaintextKey)).toMatchObject({ reason: 'revoked' })
    const { auditLog } = await used.run('query ($id: ID!) { auditLog(targetId: $id, first: 1) { nodes { action } } }', { id: apiKey.id })
    expect(auditLog.nodes).toEqual([{ action: 'revokeApiKey' }])
  })
})

it.each([
  ['no account', {}, 'invalid_input', 'odooAccountId'],
  ['an unknown account', { odooAccountId: `odoo_${'0'.repeat(26)}` }, 'not_found', 'odooAccountId'],
  ['a model with a * within', { allowedModels: ['sale.*.line'] }, 'invalid_input', 'allowedModels.0'],
  ['a method that is no name', { allowedMethods: ['search read'] }, 'invalid_input', 'allowedMethods.0'],
  ['an empty list', { allowedModels: [] }, 'invalid_input', 'allowedModels'],
])('%s is refused', async (title, input, code, field) => {
  const account = title === 'no account' ? {} : { odooAccountId: (await used.account()).id }
  expect(await refused({ ...account, ...input })).toMatchObject({ code, field })
})

it('the account of another organization, and any account for a caller limited to a project, are refused', async () => {
  const { id: odooAccountId } = await used.account()
  expect(await refused({ odooAccountId }, used.other.owner)).toMatchObject({ code: 'not_found', field: 'odooAccountId' })
  const { createProject } = await used.run('mutation { createProject(input: {name: "Shop"}) { project { id } } }')
  expect(await refused({ odooAccountId, projectId: createProject.project.id })).toMatchObject({ code: 'invalid_input', field: 'projectId' })
  expect(await refused({ odooAccountId }, used.tenant.key('ADMIN', newId()))).toMatchObject({ code: 'not_found' })
})
