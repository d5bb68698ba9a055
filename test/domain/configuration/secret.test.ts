import { describe, expect, it } from 'vitest'
import { deleteProject } from '../../../src/domain/apps/project/index.ts'
import { statusOfVersion, versionsBySecret } from '../../../src/domain/configuration/secret/index.ts'
import { bindingsByService } from '../../../src/domain/configuration/secret-binding/index.ts'
import { row, rows, run as runSql, sql } from '../../../src/platform/db/index.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'
import { canaryOf } from '../../support/canary.ts'
import { codeOf, createTenant, operation, refusal, statementsOf } from '../../support/tenant.ts'
import { commands, configurationWorld, createShop, eventsOf } from './support.ts'

const shop = configurationWorld()

const {
  createSecret,
  updateSecret,
  setSecrets,
  revokeSecretVersion,
  deleteSecret,
  bindSecret,
  setSecretBindings,
  unbindSecret,
  setEnvVars,
  updateProject,
} = commands

const create = async (key: string, scope: string, value: string, more: object = {}) =>
  (await shop.run(createSecret, { projectId: shop.projectId, key, scope, value, ...more })).secret
const bind = async (webServiceId: string, secretId: string, alias?: string) =>
  (await shop.run(bindSecret, { webServiceId, secretId, alias })).secretBinding
const versionsOf = async (secret: { id: string }) => {
  const stored = await (await shop.app.db.prismaClient()).secret.findUniqueOrThrow({ where: { id: secret.id } })
  const [versions] = await versionsBySecret(shop.app.db, [secret.id])
  return versions!.map((version) => [version.version, statusOfVersion(version, stored), version.createdBy])
}

describe('secrets', () => {
  it('have versions with an author, of which the newest is current; an equal value creates none', async () => {
    const secret = await create('TOKEN', 'PRODUCTION', 'one')
    await shop.run(updateSecret, { id: secret.id, value: 'two' }, shop.tenant.key('WRITE'))
    await shop.run(updateSecret, { id: secret.id, value: 'two' })
    const author = shop.tenant.owner.subject.name
    expect(await versionsOf(secret)).toEqual([
      [2, 'CURRENT', 'WRITE'],
      [1, 'PREVIOUS', author],
    ])
    await shop.run(revokeSecretVersion, { secretId: secret.id, version: 1 })
    await shop.run(revokeSecretVersion, { secretId: secret.id, version: 1 })
    expect((await versionsOf(secret))[1]).toEqual([1, 'REVOKED', author])
    expect(await codeOf(shop.run(revokeSecretVersion, { secretId: secret.id, version: 9 }))).toBe('not_found')
    const events = (await eventsOf(shop.app, 'secret.updated')).filter(({ subjectId }) => subjectId === secret.id)
    expect(events.map(({ data }) => [data.currentVersion, data.revokedVersion])).toEqual([
      [2, null],
      [2, 1],
    ])
  })

  it('count as missing while their newest version is revoked, until a value is written, even an equal one', async () => {
    const secret = await create('TOKEN', 'PRODUCTION', 'value-one')
    await bind(shop.production, secret.id)
    await shop.run(revokeSecretVersion, { secretId: secret.id, version: 1 })
    expect(await shop.resolved(shop.production)).toEqual({})
    await shop.run(updateSecret, { id: secret.id, value: 'value-one' })
    expect(await shop.resolved(shop.production)).toEqual({ TOKEN: '********' })
  })

  it('have immutable versions in the database, which can only be revoked', async () => {
    const secret = await create('TOKEN', 'PRODUCTION', 'one')
    const change = (set: string) => shop.app.db.pool.query(`update secret_version set ${set} where secret_id = '${secret.id}'`)
    for (const set of ["fingerprint = 'x'", 'version = 7', "created_by = 'Eve'"]) await expect(change(set)).rejects.toThrow('immutable')
    await change('revoked_at = now()')
    await expect(change('revoked_at = null')).rejects.toThrow('immutable')
  })

  it('are refused if the key is taken, the scope unknown or the value invalid', async () => {
    await create('TOKEN', 'PRODUCTION', 'one')
    await create('TOKEN', 'STAGING', 'one')
    expect(await refusal(create('TOKEN', 'PRODUCTION', 'two'))).toMatchObject({ code: 'key_taken', details: { scope: 'PRODUCTION' } })
    expect(await refusal(create('OTHER', 'TESTING', 'one'))).toMatchObject({ code: 'invalid_input', field: 'scope' })
    expect(await refusal(create('1BAD', 'PRODUCTION', 'one'))).toMatchObject({ code: 'invalid_input', field: 'key' })
    expect(await refusal(create('OTHER', 'PRODUCTION', '********'))).toMatchObject({ code: 'invalid_input', field: 'value' })
  })

  it('are written in bulk by key and scope, all or none; REPLACE deletes the others unless they are bound', async () => {
    const set = (secrets: object[], mode?: string) => shop.run(setSecrets, { projectId: shop.projectId, secrets, mode })
    const token = { key: 'TOKEN', value: 'one' }
    expect((await set([token, { ...token, scope: 'STAGING' }])).secrets.map(({ scope }) => scope)).toEqual(['PRODUCTION', 'STAGING'])
    expect(await refusal(set([token, { ...token, scope: 'PRODUCTION' }]))).toMatchObject({ code: 'invalid_input', field: 'secrets.1.key' })
    const { secrets } = await set([
      { ...token, value: 'two' },
      { key: 'OTHER', value: 'x' },
    ])
    expect(secrets.map(({ key, currentVersion }) => [key, currentVersion])).toEqual([
      ['TOKEN', 2],
      ['TOKEN', 1],
      ['OTHER', 1],
    ])
    await bind(shop.production, secrets[2]!.id)
    expect(await codeOf(set([token], 'REPLACE'))).toBe('secret_bound')
    expect((await set([token, { key: 'OTHER', value: 'x' }], 'REPLACE')).secrets.map(({ key }) => key)).toEqual(['TOKEN', 'OTHER'])
  })

  it('are deleted while bound only with force; the refusal names the services', async () => {
    const secret = await create('TOKEN', 'PRODUCTION', 'one')
    const binding = await bind(shop.production, secret.id)
    const refused = await refusal(shop.run(deleteSecret, { id: secret.id }))
    expect(refused).toMatchObject({ code: 'secret_bound', details: { services: [{ name: 'Web' }] } })
    expect(refused.message).toContain('bound to Web')
    await shop.run(deleteSecret, { id: secret.id, force: true })
    expect((await bindingsByService({ tx: shop.app.db, caller: shop.tenant.owner }, [shop.production]))[0]).toEqual([])
    expect((await eventsOf(shop.app, 'secret_binding.deleted')).some(({ subjectId }) => subjectId === binding.id)).toBe(true)
    expect(await codeOf(shop.run(deleteSecret, { id: secret.id, force: true }))).toBe('not_found')
  })

  it('are deleted with their project by a cascading deletion, and prevent another one', async () => {
    await bind(shop.production, (await create('TOKEN', 'PRODUCTION', 'one')).id)
    expect(await codeOf(shop.run(deleteProject, { id: shop.projectId }))).toBe('not_empty')
    await shop.run(deleteProject, { id: shop.projectId, cascade: true })
    expect(await rows(shop.app.db, sql`select 1 from secret where project_id = ${shop.projectId}::uuid`)).toEqual([])
  })

  it('of another organization are not found', async () => {
    const secret = await create('TOKEN', 'PRODUCTION', 'one')
    const stranger = (await createTenant(shop.app)).owner
    const attempts = [
      shop.run(updateSecret, { id: secret.id, value: 'x' }, stranger),
      shop.run(deleteSecret, { id: secret.id }, stranger),
      shop.run(commands.revealSecret, { id: secret.id }, stranger),
      shop.run(revokeSecretVersion, { secretId: secret.id, version: 1 }, stranger),
      shop.run(setSecrets, { projectId: shop.projectId, secrets: [] }, stranger),
    ]
    expect(new Set(await Promise.all(attempts.map(codeOf)))).toEqual(new Set(['not_found']))
  })
})

describe('a binding', () => {
  it('gives a service the value of its own scope, or of the next lower one', async () => {
    const [production, staging] = [
      await create('TOKEN', 'PRODUCTION', 'p', { isSecret: false }),
      await create('TOKEN', 'STAGING', 's', { isSecret: false }),
    ]
    for (const service of [shop.production, shop.staging, shop.development]) await bind(service, production.id)
    expect(await shop.resolved(shop.production)).toEqual({ TOKEN: 'p' })
    expect(await shop.resolved(shop.staging)).toEqual({ TOKEN: 's' })
    expect(await shop.resolved(shop.development)).toEqual({})
    await shop.run(revokeSecretVersion, { secretId: production.id, version: 1 })
    expect(await shop.resolved(shop.production)).toEqual({ TOKEN: 's' })
    const chains = [{ scope: 'PRODUCTION', chain: ['DEVELOPMENT'], mode: 'ALLOW' }]
    await shop.run(updateProject, { id: shop.projectId, secretFallback: chains })
    expect(await shop.resolved(shop.production)).toEqual({})
    await shop.run(bindSecret, { webServiceId: shop.production, secretId: staging.id, alias: 'BY_STAGING' })
    expect(await shop.resolved(shop.production)).toEqual({ BY_STAGING: 's' })
  })

  it('has a unique alias that is a valid key; an env var with that name takes precedence', async () => {
    const secret = await create('TOKEN', 'PRODUCTION', 'p')
    await bind(shop.production, secret.id)
    expect(await codeOf(bind(shop.production, secret.id))).toBe('alias_taken')
    expect(await refusal(bind(shop.production, secret.id, 'bad-alias'))).toMatchObject({ code: 'invalid_input', field: 'alias' })
    await shop.run(setEnvVars, { webServiceId: shop.production, variables: [{ key: 'OWN', value: 'mine' }] })
    const { warnings } = await shop.run(bindSecret, { webServiceId: shop.production, secretId: secret.id, alias: 'OWN' })
    expect(warnings).toEqual(["OWN: the service's own env var wins; the binding is shadowed."])
    expect(await shop.resolved(shop.production)).toEqual({ OWN: 'mine', TOKEN: '********' })
  })

  it('cannot refer to a secret of another project, in a bulk write either', async () => {
    const other = await createShop(shop.app)
    const foreign = (await other.run(createSecret, { projectId: other.projectId, key: 'X', value: 'y' })).secret
    const own = await create('TOKEN', 'PRODUCTION', 'p')
    for (const secretId of [foreign.id, newId(), 'garbage']) {
      expect(await refusal(bind(shop.production, secretId))).toMatchObject({ code: 'not_found', field: 'secretId' })
      const bindings = [{ secretId: own.id }, { secretId }]
      expect(await refusal(shop.run(setSecretBindings, { webServiceId: shop.production, bindings }))).toMatchObject({
        code: 'not_found',
        field: 'bindings.1.secretId',
      })
    }
    expect((await bindingsByService({ tx: shop.app.db, caller: shop.tenant.owner }, [shop.production]))[0]).toEqual([])
  })

  it('is written in bulk by alias: rebound, deleted by REPLACE, refused if repeated', async () => {
    const [a, b] = [await create('A', 'PRODUCTION', 'a', { isSecret: false }), await create('B', 'PRODUCTION', 'b', { isSecret: false })]
    const set = (bindings: object[], mode?: string) => shop.run(setSecretBindings, { webServiceId: shop.production, bindings, mode })
    await set([{ secretId: a.id }, { secretId: b.id, alias: 'C' }])
    expect(await shop.resolved(shop.production)).toEqual({ A: 'a', C: 'b' })
    await set([{ secretId: a.id, alias: 'C' }])
    expect(await shop.resolved(shop.production)).toEqual({ A: 'a', C: 'a' })
    expect(await refusal(set([{ secretId: a.id }, { secretId: b.id, alias: 'A' }]))).toMatchObject({
      code: 'invalid_input',
      field: 'bindings.1.alias',
    })
    const { secretBindings } = await set([{ secretId: b.id, alias: 'C' }], 'REPLACE')
    expect(secretBindings.map(({ alias }) => alias)).toEqual(['C'])
    await shop.run(unbindSecret, { id: secretBindings[0]!.id })
    expect(await shop.resolved(shop.production)).toEqual({})
  })

  it('and a concurrent deletion of its secret end without an internal error, whichever is first', async () => {
    for (let round = 0; round < 5; round++) {
      const secret = await create(`K${round}`, 'PRODUCTION', 'v')
      const outcomes = await Promise.all([
        codeOf(bind(shop.production, secret.id)),
        codeOf(shop.run(deleteSecret, { id: secret.id, force: true })),
      ])
      expect(outcomes[1]).toBe('done')
      expect(['done', 'not_found']).toContain(outcomes[0])
      expect(await shop.resolved(shop.production)).toEqual({})
    }
  })
})

describe('the fallback of a project', () => {
  const set = (secretFallback: unknown) => shop.run(updateProject, { id: shop.projectId, secretFallback })

  it.each([
    ['its own scope', [{ scope: 'STAGING', chain: ['STAGING'], mode: 'ALLOW' }], 'secretFallback.0.chain.0'],
    ['one scope twice', [{ scope: 'PRODUCTION', chain: ['STAGING', 'STAGING'], mode: 'ALLOW' }], 'secretFallback.0.chain.1'],
    ['a higher scope', [{ scope: 'DEVELOPMENT', chain: ['PRODUCTION'], mode: 'ALLOW' }], 'secretFallback.0.chain.0'],
    ['an unknown scope', [{ scope: 'PRODUCTION', chain: ['TESTING'], mode: 'ALLOW' }], 'secretFallback.0.chain.0'],
  ])('refuses a chain that names %s', async (_what, chains, field) => {
    expect(await refusal(set(chains))).toMatchObject({ code: 'invalid_input', field })
  })

  it('refuses a repeated scope and an unknown mode', async () => {
    const staging = { scope: 'STAGING', chain: [], mode: 'ALLOW' }
    expect(await refusal(set([staging, staging]))).toMatchObject({ field: 'secretFallback.1.scope' })
    expect(await refusal(set([{ ...staging, mode: 'MAYBE' }]))).toMatchObject({ field: 'secretFallback.0.mode' })
  })

  it('shows its defaults, keeps what a change omits, and returns to the defaults with null', async () => {
    const query = 'query ($id: ID!) { project(id: $id) { secretFallback { scope chain mode } } }'
    const read = async () => (await operation(shop.app, shop.tenant.owner, query, { id: shop.projectId })).data!.project.secretFallback
    const defaults = [
      { scope: 'PRODUCTION', chain: ['STAGING', 'DEVELOPMENT'], mode: 'WARN' },
      { scope: 'STAGING', chain: ['DEVELOPMENT'], mode: 'ALLOW' },
      { scope: 'DEVELOPMENT', chain: [], mode: 'ALLOW' },
    ]
    expect(await read()).toEqual(defaults)
    await set([{ scope: 'STAGING', chain: [], mode: 'STRICT' }])
    await set([{ scope: 'PRODUCTION', chain: [], mode: 'ALLOW' }])
    expect(await read()).toEqual([
      { scope: 'PRODUCTION', chain: [], mode: 'ALLOW' },
      { scope: 'STAGING', chain: [], mode: 'STRICT' },
      defaults[2],
    ])
    await set(null)
    expect(await read()).toEqual(defaults)
  })
})

describe('secrets in GraphQL', () => {
  it('show versions, bindings and projects, but no value, in as many statements for many secrets as for one', async () => {
    const query = `query ($id: ID!) { project(id: $id) { secrets { totalCount nodes {
      key scope value maskedValue fingerprint currentVersion versions { version status createdBy } usedBy { alias webService { name } } project { name } } } } }`
    const secret = await create('TOKEN', 'PRODUCTION', 'hunter2')
    await bind(shop.production, secret.id)
    const read = () => operation(shop.app, shop.tenant.owner, query, { id: shop.projectId })
    const few = await statementsOf(shop.app, read)
    for (const key of ['A', 'B', 'C']) await create(key, 'STAGING', `value of ${key}`)
    const many = await statementsOf(shop.app, read)
    expect(many.length).toBe(few.length)
    const { data, errors } = await read()
    expect(errors).toBeUndefined()
    expect(data!.project.secrets.totalCount).toBe(4)
    expect(data!.project.secrets.nodes[0]).toMatchObject({
      key: 'TOKEN',
      value: null,
      maskedValue: '********',
      versions: [{ version: 1, status: 'CURRENT' }],
      usedBy: [{ alias: 'TOKEN', webService: { name: 'Web' } }],
      project: { name: 'Shop' },
    })
    expect(JSON.stringify(data)).not.toContain('hunter2')
  })

  it('show when each variable changed; for platform defaults, the creation of the service', async () => {
    const query = 'query ($id: ID!) { webService(id: $id) { createdAt resolvedEnv { key changedAt } } }'
    const { data, errors } = await operation(shop.app, shop.tenant.owner, query, { id: encodeId('WebService', shop.production) })
    expect(errors).toBeUndefined()
    const { createdAt, resolvedEnv } = data!.webService
    expect(resolvedEnv.length).toBeGreaterThan(0)
    for (const variable of resolvedEnv) expect(variable.changedAt).toBe(createdAt)
  })

  it('resolve many services in as many statements as one', async () => {
    const secret = await create('TOKEN', 'DEVELOPMENT', 'hunter2')
    const query =
      '{ webServices { nodes { pendingConfig configWarnings resolvedEnv { key maskedValue changedSinceLive source { kind } } } } }'
    await bind(shop.production, secret.id)
    const read = () => operation(shop.app, shop.tenant.owner, query)
    // The first query also reads the organization's key.
    await read()
    const few = await statementsOf(shop.app, read)
    await bind(shop.staging, secret.id)
    await bind(shop.development, secret.id)
    const many = await statementsOf(shop.app, read)
    expect(many.length).toBe(few.length)
    expect((await read()).errors).toBeUndefined()
  })
})

it('no secret is stored in plaintext in the database, in any encoding', async () => {
  const canary = 'canary-77aa-secret-of-project'
  const secret = await create('TOKEN', 'PRODUCTION', canary, { idempotencyKey: newId() })
  await bind(shop.production, secret.id)
  await shop.run(commands.revealSecret, { id: secret.id, idempotencyKey: 'reveal' })
  await shop.run(commands.revealResolvedEnv, { webServiceId: shop.production, idempotencyKey: 'reveal' })
  expect(await canaryOf(shop.url).searchDatabase(shop.url)).toEqual([])
})

it('a ciphertext that is copied to another row does not open', async () => {
  const [a, b] = [
    await create('A', 'PRODUCTION', 'value-a', { isSecret: false }),
    await create('B', 'PRODUCTION', 'value-b', { isSecret: false }),
  ]
  const value = (await row<{ value: Uint8Array }>(shop.app.db, sql`select value from secret_version where secret_id = ${a.id}::uuid`))!
    .value
  await runSql(shop.app.db, sql`update secret_version set value = ${new Uint8Array(value)} where secret_id = ${b.id}::uuid`)
  const answer = await operation(shop.app, shop.tenant.owner, 'query ($id: ID!) { secret(id: $id) { value } }', { id: b.id })
  expect(answer.errors?.[0]?.code).toBe('masked')
  expect(JSON.stringify(answer)).not.toContain('value-a')
})
