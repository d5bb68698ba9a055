import { describe, expect, it } from 'vitest'
import { listResolvedEnv } from '../../../src/domain/configuration/resolution/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { newId } from '../../../src/platform/id.ts'
import type { App } from '../../../src/platform/work.ts'
import { shiftClock } from '../../support/database.ts'
import { codeOf, operation, refusal, request } from '../../support/tenant.ts'
import { auditOf, commands, configurationWorld, eventsOf } from './support.ts'

const shop = configurationWorld({ REVEALS_PER_MINUTE: '5' })

const {
  createEnvVar,
  createSecret,
  revealEnvVar,
  revealEnvVars,
  revealSecret,
  revealResolvedEnv,
  exportEnvVars,
  setSecretBindings,
  updateSecret,
  revokeSecretVersion,
} = commands

const variable = async () =>
  (await shop.run(createEnvVar, { webServiceId: shop.production, key: 'TOKEN', value: 'hunter2', isSecret: true })).envVar
const revealIn = (app: App, id: string) => execute(request(app, shop.tenant.owner), revealSecret, { id })
const secret = async () => (await shop.run(createSecret, { projectId: shop.projectId, key: 'KEY', value: 'swordfish' })).secret

describe('a reveal', () => {
  it('returns the value, and marks the row, publishes an event and writes an audit row, all without the value', async () => {
    const [item, owner] = [await secret(), shop.tenant.owner.subject.name]
    const shown = await shop.run(revealSecret, { id: item.id })
    expect(shown).toMatchObject({ key: 'KEY', value: 'swordfish', secret: { lastRevealedBy: owner } })
    expect(shown.secret.lastRevealedAt).toBeInstanceOf(Date)
    const event = (await eventsOf(shop.app, 'secret.revealed')).find(({ subjectId }) => subjectId === item.id)
    expect(event!.data).toMatchObject({ key: 'KEY', version: 1, revealedBy: owner })
    const audit = (await auditOf(shop.app, 'revealSecret')).find(({ targetId }) => targetId === item.id)
    expect(audit).toMatchObject({ actorName: owner, details: { key: 'KEY', scope: 'PRODUCTION', version: 1 } })
    expect(JSON.stringify([event, audit])).not.toContain('swordfish')
  })

  it('does so for one env var, for all env vars of a service, and for all resolved variables', async () => {
    const item = await variable()
    expect(await shop.run(revealEnvVar, { id: item.id })).toMatchObject({ key: 'TOKEN', value: 'hunter2' })
    expect((await shop.run(revealEnvVars, { webServiceId: shop.production })).values).toEqual([{ key: 'TOKEN', value: 'hunter2' }])
    const all = await shop.run(revealResolvedEnv, { webServiceId: shop.production })
    expect(all.values).toEqual(
      expect.arrayContaining([
        { key: 'TOKEN', value: 'hunter2' },
        { key: 'QUAYSIDE', value: 'true' },
      ]),
    )
    const events = (await eventsOf(shop.app, 'env_var.revealed')).filter(({ subjectId }) => subjectId === shop.production)
    expect(events.map(({ data }) => (data.keys as string[]).includes('TOKEN'))).toEqual([true, true, true])
    expect((await auditOf(shop.app, 'revealEnvVars')).at(-1)!.details).toEqual({ keys: ['TOKEN'] })
  })

  it('of all resolved variables publishes one event and audits each bound secret that it opened', async () => {
    const item = await secret()
    await shop.run(updateSecret, { id: item.id, value: 'second' })
    const bindings = [{ secretId: item.id }, { secretId: item.id, alias: 'OTHER' }]
    await shop.run(setSecretBindings, { webServiceId: shop.production, bindings })
    await shop.run(revealResolvedEnv, { webServiceId: shop.production })
    const told = async () => (await eventsOf(shop.app, 'secret.revealed')).filter(({ subjectId }) => subjectId === item.id)
    const owner = shop.tenant.owner.subject.name
    expect((await told()).map(({ data }) => data)).toEqual([expect.objectContaining({ key: 'KEY', version: 2, revealedBy: owner })])
    const audit = (await auditOf(shop.app, 'revealResolvedEnv')).find(({ targetId }) => targetId === shop.production)!
    expect(audit.details).toMatchObject({
      keys: expect.arrayContaining(['KEY', 'OTHER', 'QUAYSIDE']),
      secrets: [{ id: item.id, key: 'KEY', scope: 'PRODUCTION', version: 2 }],
    })
    await shop.ask(listResolvedEnv, { webServiceId: shop.production, reveal: true })
    expect(await told()).toHaveLength(2)
    await shop.ask(listResolvedEnv, { webServiceId: shop.production, reveal: false })
    expect(await told()).toHaveLength(2)
  })

  it('is not a change: `updatedAt` stays the same', async () => {
    const [item, own] = [await secret(), await variable()]
    await shop.run(revealSecret, { id: item.id })
    await shop.run(revealEnvVar, { id: own.id })
    const prisma = await shop.app.db.prismaClient()
    expect(await prisma.secret.findUniqueOrThrow({ where: { id: item.id } })).toMatchObject({ updatedAt: item.updatedAt, version: 1 })
    expect(await prisma.envVar.findUniqueOrThrow({ where: { id: own.id } })).toMatchObject({ updatedAt: own.updatedAt, version: 1 })
  })

  it('returns the requested version, and refuses a revoked one', async () => {
    const item = await secret()
    await shop.run(updateSecret, { id: item.id, value: 'second' })
    expect((await shop.run(revealSecret, { id: item.id, version: 1 })).value).toBe('swordfish')
    expect((await shop.run(revealSecret, { id: item.id })).value).toBe('second')
    await shop.run(revokeSecretVersion, { secretId: item.id, version: 1 })
    expect(await codeOf(shop.run(revealSecret, { id: item.id, version: 1 }))).toBe('version_revoked')
    expect(await codeOf(shop.run(revealSecret, { id: item.id, version: 3 }))).toBe('not_found')
  })

  it('needs the permission to reveal', async () => {
    const [item, own] = [await secret(), await variable()]
    const reader = shop.tenant.key('READ')
    expect(await codeOf(shop.run(revealSecret, { id: item.id }, reader))).toBe('forbidden')
    expect(await codeOf(shop.run(revealEnvVar, { id: own.id }, reader))).toBe('forbidden')
    expect(await codeOf(shop.run(revealEnvVars, { webServiceId: shop.production }, reader))).toBe('forbidden')
    expect(await codeOf(shop.run(revealResolvedEnv, { webServiceId: shop.production }, reader))).toBe('forbidden')
  })

  it('returns no value when it is repeated with the same idempotency key', async () => {
    const item = await secret()
    const input = { id: item.id, idempotencyKey: 'once' }
    expect((await shop.run(revealSecret, input)).value).toBe('swordfish')
    expect((await shop.run(revealSecret, input)).value).toBeNull()
    const all = { webServiceId: shop.production, idempotencyKey: 'all' }
    await shop.run(revealEnvVars, all)
    expect((await shop.run(revealEnvVars, all)).values).toBeNull()
    await shop.run(exportEnvVars, all)
    expect((await shop.run(exportEnvVars, all)).text).toBeNull()
  })

  it('returns nothing and marks nothing if the audit row cannot be written', async () => {
    const item = await secret()
    const query = 'mutation ($id: ID!) { revealSecret(input: { id: $id }) { value } }'
    await shop.app.db.pool.query(
      `create function refuse_audit() returns trigger language plpgsql as $$ begin raise exception 'disk full'; end $$`,
    )
    await shop.app.db.pool.query('create trigger refuse_audit before insert on audit_entry for each row execute function refuse_audit()')
    try {
      const answer = await operation(shop.app, shop.tenant.owner, query, { id: item.id })
      expect(answer.data).toEqual({ revealSecret: null })
      expect(JSON.stringify(answer)).not.toContain('swordfish')
    } finally {
      await shop.app.db.pool.query('drop trigger refuse_audit on audit_entry; drop function refuse_audit()')
    }
    expect(await (await shop.app.db.prismaClient()).secret.findUniqueOrThrow({ where: { id: item.id } })).toMatchObject({
      lastRevealedAt: null,
    })
    expect((await eventsOf(shop.app, 'secret.revealed')).some(({ subjectId }) => subjectId === item.id)).toBe(false)
    expect((await operation(shop.app, shop.tenant.owner, query, { id: item.id })).data).toEqual({ revealSecret: { value: 'swordfish' } })
  })

  it('is limited per minute for each principal, across processes', async () => {
    const item = await secret()
    const peer = await shop.process({ REVEALS_PER_MINUTE: '5' })
    const at = (app: typeof shop.app) => revealIn(app, item.id)
    for (let n = 0; n < 5; n++) await at(n % 2 ? peer : shop.app)
    const refused = await refusal(shop.run(revealSecret, { id: item.id }))
    expect(refused).toMatchObject({ code: 'rate_limited', details: { limit: 5 } })
    expect(refused.details!.retryAfterSeconds).toBeGreaterThan(0)
    expect(await codeOf(shop.run(revealEnvVars, { webServiceId: shop.production }))).toBe('rate_limited')
    const other = { ...shop.tenant.key('ADMIN'), userId: newId() }
    expect(await codeOf(shop.run(revealSecret, { id: item.id }, other))).toBe('done')
    await shiftClock(shop.url, 61_000)
    expect(await codeOf(shop.run(revealSecret, { id: item.id }))).toBe('done')
  })

  it('is also limited for each user, whichever key is used', async () => {
    const item = await secret()
    const keys = [shop.tenant.key('ADMIN'), shop.tenant.key('ADMIN'), shop.tenant.key('ADMIN')]
    for (let n = 0; n < 5; n++) expect(await codeOf(shop.run(revealSecret, { id: item.id }, keys[n % 2]))).toBe('done')
    expect(await codeOf(shop.run(revealSecret, { id: item.id }, keys[2]))).toBe('rate_limited')
    expect(await codeOf(shop.run(revealSecret, { id: item.id }))).toBe('rate_limited')
  })

  it('is allowed again at once after the clock was set back by an hour', async () => {
    const item = await secret()
    while ((await codeOf(shop.run(revealSecret, { id: item.id }))) === 'done');
    await shiftClock(shop.url, -3_600_000)
    expect(await codeOf(shop.run(revealSecret, { id: item.id }))).toBe('done')
  })
})
