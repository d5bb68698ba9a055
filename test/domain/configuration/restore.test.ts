import { describe, expect, it } from 'vitest'
import { openValue } from '../../../src/domain/configuration/resolution/index.ts'
import {
  type Configuration,
  currentConfiguration,
  restoredConfiguration,
  saveConfiguration,
} from '../../../src/domain/deploys/deployment/configuration.ts'
import { planDeploy, planRollback } from '../../../src/domain/deploys/deployment/index.ts'
import { connectDatabase, createDatabase, revealDatabase, rotateDatabasePassword } from '../../../src/domain/resources/database/index.ts'
import { disconnectResource } from '../../../src/domain/resources/resource-binding/index.ts'
import type { Deployment } from '../../../src/generated/prisma/client.ts'
import { row, run as runSql, sql } from '../../../src/platform/db/index.ts'
import { newId } from '../../../src/platform/id.ts'
import { transact } from '../../../src/platform/work.ts'
import { provideEngine } from '../../support/database-engine.ts'
import { commands, configurationWorld, pinnedIn, revisionOf } from './support.ts'

const shop = configurationWorld()

const { setEnvVars, createSecret, updateSecret, bindSecret, deleteSecret, revokeSecretVersion, unbindSecret, updateProject } = commands

const pinned = (status: 'LIVE' | 'SUPERSEDED') => pinnedIn(shop, status)
const restored = (target: Deployment) => restoredConfiguration({ app: shop.app, tx: shop.app.db }, target, revisionOf(target))

const own = async ({ variables }: Configuration) => {
  const given: Record<string, string> = {}
  for (const { key, source, value } of variables) {
    if (source.kind !== 'PLATFORM_DEFAULT')
      given[key] = await openValue({ app: shop.app, tx: shop.app.db }, shop.tenant.organizationId, value)
  }
  return given
}

const secretOf = async (key: string, value: string) => {
  const { secret } = await shop.run(createSecret, { projectId: shop.projectId, key, value })
  const { secretBinding } = await shop.run(bindSecret, { webServiceId: shop.production, secretId: secret.id })
  return { secret, secretBinding }
}

describe('a snapshot', () => {
  it('has variables and secret versions as they were, regardless of later changes', async () => {
    const { secret, secretBinding } = await secretOf('TOKEN', 'one')
    await shop.run(setEnvVars, { webServiceId: shop.production, variables: [{ key: 'A', value: 'then' }] })
    const then = await pinned('SUPERSEDED')
    await shop.run(updateSecret, { id: secret.id, value: 'two' })
    await shop.run(unbindSecret, { id: secretBinding.id })
    await shop.run(setEnvVars, { webServiceId: shop.production, variables: [{ key: 'B', value: 'now' }], mode: 'REPLACE' })
    expect(await own(await restored(then))).toEqual({ A: 'then', TOKEN: 'one' })
    expect((await restored(then)).warnings).toEqual([])
  })

  it('has the URL of a connected database as it was, its current one after a rotation, and none once it is disconnected', async () => {
    provideEngine(shop.app)
    const { database } = await shop.run(createDatabase, { projectId: shop.projectId, name: 'Orders' })
    const { resourceBinding } = await shop.run(connectDatabase, { databaseId: database.id, webServiceId: shop.production })
    const then = await pinned('SUPERSEDED')
    const url = async () => (await shop.run(revealDatabase, { id: database.id })).url!
    expect(await own(await restored(then))).toEqual({ DATABASE_URL: await url() })
    expect((await restored(then)).warnings).toEqual([])
    await shop.run(rotateDatabasePassword, { id: database.id })
    expect(await own(await restored(then))).toEqual({ DATABASE_URL: await url() })
    expect((await restored(then)).warnings).toEqual([
      'DATABASE_URL: the address or password of its resource has changed. The current value is used instead.',
    ])
    await shop.run(disconnectResource, { id: resourceBinding.id })
    expect(await own(await restored(then))).toEqual({})
    expect((await restored(then)).warnings).toEqual(['DATABASE_URL: its resource is no longer connected. The variable is omitted.'])
  })

  it('replaces a revoked version by the current value, with a warning, or omits it if there is none', async () => {
    const [kept, lost] = [await secretOf('KEPT', 'one'), await secretOf('LOST', 'one')]
    const then = await pinned('SUPERSEDED')
    await shop.run(updateSecret, { id: kept.secret.id, value: 'two' })
    for (const { secret } of [kept, lost]) await shop.run(revokeSecretVersion, { secretId: secret.id, version: 1 })
    const configuration = await restored(then)
    expect(await own(configuration)).toEqual({ KEPT: 'two' })
    expect(configuration.warnings).toEqual([
      'KEPT: version 1 of its secret was revoked. Its current value is used instead.',
      'LOST: version 1 of its secret was revoked and has no current value. The variable is omitted.',
    ])
  })

  it('omits a deleted secret, which blocks the rollback under STRICT', async () => {
    const { secret } = await secretOf('GONE', 'one')
    const { secret: other } = await secretOf('REVOKED', 'one')
    const then = await pinned('SUPERSEDED')
    await shop.run(deleteSecret, { id: secret.id, force: true })
    expect(await own(await restored(then))).toEqual({ REVOKED: 'one' })
    expect((await restored(then)).warnings).toEqual([
      'GONE: version 1 of its secret was deleted and has no current value. The variable is omitted.',
    ])
    await shop.run(updateProject, { id: shop.projectId, secretFallback: [{ scope: 'PRODUCTION', chain: [], mode: 'STRICT' }] })
    await shop.run(revokeSecretVersion, { secretId: other.id, version: 1 })
    const plan = await shop.ask(planRollback, { deploymentId: then.id })
    expect(plan).toMatchObject({ eligible: false, blockers: [{ code: 'CONFIG_UNRESOLVED' }] })
    expect(plan.warnings[0]).toContain('REVOKED has no value at PRODUCTION')
  })
})

describe('a plan', () => {
  it('lists additions, removals and changes: secrets by fingerprint, plain variables by value', async () => {
    const { secret } = await secretOf('TOKEN', 'one')
    const set = (variables: object[], mode = 'MERGE') => shop.run(setEnvVars, { webServiceId: shop.production, variables, mode })
    await set([
      { key: 'CHANGED', value: 'before' },
      { key: 'REMOVED', value: 'x' },
      { key: 'SAME', value: 'y' },
    ])
    const live = await pinned('LIVE')
    expect((await shop.ask(planDeploy, { webServiceId: shop.production })).changes.filter(({ kind }) => kind !== 'SETTING')).toEqual([])
    await shop.run(updateSecret, { id: secret.id, value: 'two' })
    await set(
      [
        { key: 'CHANGED', value: 'after' },
        { key: 'ADDED', value: 'hunter2', isSecret: true },
        { key: 'SAME', value: 'y' },
      ],
      'REPLACE',
    )
    const { changes, current } = await shop.ask(planDeploy, { webServiceId: shop.production })
    expect(current!.id).toBe(live.id)
    const print = expect.stringMatching(/^[0-9a-f]{32}$/)
    expect(changes.filter(({ kind }) => kind !== 'SETTING')).toEqual([
      { kind: 'VARIABLE_ADDED', key: 'ADDED', from: null, to: print },
      { kind: 'VARIABLE_CHANGED', key: 'CHANGED', from: 'before', to: 'after' },
      { kind: 'VARIABLE_REMOVED', key: 'REMOVED', from: 'x', to: null },
      { kind: 'VARIABLE_CHANGED', key: 'TOKEN', from: print, to: print },
    ])
    expect(JSON.stringify(changes)).not.toContain('hunter2')
  })
})

it('a configuration that exceeds the size limit of an environment is refused with its size, and a plan warns about it', async () => {
  const warnings = async () => (await shop.ask(planDeploy, { webServiceId: shop.production })).warnings
  expect(await warnings()).toEqual([])
  const variables = Array.from({ length: 17 }, (_, n) => ({ key: `BIG_${n}`, value: 'x'.repeat(64 * 1024) }))
  await shop.run(setEnvVars, { webServiceId: shop.production, variables })
  const deployment = await pinnedProblem()
  expect(deployment).toContain('exceeds the limit of 1048576 bytes')
  expect(await warnings()).toEqual([expect.stringContaining('exceeds the limit of 1048576 bytes')])
})

async function pinnedProblem(): Promise<string | null> {
  const id = newId()
  await runSql(
    shop.app.db,
    sql`insert into deployment (id, organization_id, web_service_id, number, kind, trigger, status, created_by_type)
        values (${id}::uuid, ${shop.tenant.organizationId}::uuid, ${shop.production}::uuid, 1, 'DEPLOY', 'API', 'QUEUED', 'system')`,
  )
  const deployment = (await row<Deployment>(shop.app.db, sql`select * from deployment where id = ${id}::uuid`))!
  return transact(shop.app, shop.tenant.owner, { emits: shop.app.domain.eventTypes.all }, async (work) =>
    saveConfiguration(work, deployment, await currentConfiguration(work, shop.production)),
  )
}
