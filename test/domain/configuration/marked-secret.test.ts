import { describe, expect, it } from 'vitest'
import { restoredConfiguration } from '../../../src/domain/deploys/deployment/configuration.ts'
import { planDeploy, planRollback } from '../../../src/domain/deploys/deployment/index.ts'
import { redactorOf } from '../../../src/domain/deploys/instance/redaction.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { operation } from '../../support/tenant.ts'
import { commands, configurationWorld, pinnedIn, revisionOf } from './support.ts'

const shop = configurationWorld()

const { setEnvVars, createSecret, updateSecret, bindSecret } = commands

const print = expect.stringMatching(/^[0-9a-f]{32}$/)
const values = { OWN: 'plain-own-value', BOUND: 'plain-bound-value' }
const setOwn = (more: object) => shop.run(setEnvVars, { webServiceId: shop.production, variables: [{ key: 'OWN', ...more }] })

/** Creates a plain variable, and a plain secret that is bound. */
async function plainOnes() {
  await setOwn({ value: values.OWN })
  const { secret } = await shop.run(createSecret, { projectId: shop.projectId, key: 'BOUND', value: values.BOUND, isSecret: false })
  await shop.run(bindSecret, { webServiceId: shop.production, secretId: secret.id })
  /** Makes both secret, with new values or the same ones. */
  return async ({ OWN, BOUND } = values) => {
    await setOwn({ value: OWN, isSecret: true })
    await shop.run(updateSecret, { id: secret.id, value: BOUND, isSecret: true })
  }
}

const variablesOf = <Change extends { kind: string }>(changes: Change[]) => changes.filter(({ kind }) => kind !== 'SETTING')

describe('variables that were marked secret after a deployment', () => {
  it('are restored as secret by a rollback to it', async () => {
    const marked = await plainOnes()
    const then = await pinnedIn(shop, 'SUPERSEDED')
    await marked()
    const restored = await restoredConfiguration({ app: shop.app, tx: shop.app.db }, then, revisionOf(then))
    expect(restored.variables.filter(({ isSecret }) => isSecret).map(({ key }) => key)).toEqual(['BOUND', 'OWN'])
  })

  it('are restored as secret even if a secret has replaced the env var', async () => {
    await setOwn({ value: values.OWN })
    const then = await pinnedIn(shop, 'SUPERSEDED')
    await shop.run(setEnvVars, { webServiceId: shop.production, variables: [], mode: 'REPLACE' })
    const { secret } = await shop.run(createSecret, { projectId: shop.projectId, key: 'OWN', value: values.OWN })
    await shop.run(bindSecret, { webServiceId: shop.production, secretId: secret.id })
    const restored = await restoredConfiguration({ app: shop.app, tx: shop.app.db }, then, revisionOf(then))
    expect(restored.variables.find(({ key }) => key === 'OWN')).toMatchObject({ isSecret: true })
  })

  it('appear in a plan without a value, old or new', async () => {
    const marked = await plainOnes()
    const then = await pinnedIn(shop, 'SUPERSEDED')
    await pinnedIn(shop, 'LIVE')
    const changed = ['BOUND', 'OWN'].map((key) => ({ kind: 'VARIABLE_CHANGED', key, from: print, to: print }))
    for (const next of [values, { OWN: 'secret-own-value', BOUND: 'secret-bound-value' }]) {
      await marked(next)
      const plans = [
        await shop.ask(planDeploy, { webServiceId: shop.production }),
        await shop.ask(planRollback, { deploymentId: then.id }),
        await shop.ask(planRollback, { deploymentId: then.id, config: 'CURRENT' }),
      ]
      for (const { changes } of plans) expect(variablesOf(changes)).toEqual(changed)
    }
  })

  it('appear in a plan without a value even when they are plain again', async () => {
    const marked = await plainOnes()
    await marked()
    await pinnedIn(shop, 'LIVE')
    await setOwn({ value: 'not-secret', isSecret: false })
    const { changes } = await shop.ask(planDeploy, { webServiceId: shop.production })
    expect(variablesOf(changes)).toEqual([{ kind: 'VARIABLE_CHANGED', key: 'OWN', from: print, to: print }])
  })

  it('are a pending change', async () => {
    const marked = await plainOnes()
    await pinnedIn(shop, 'LIVE')
    const query = 'query ($id: ID!) { webService(id: $id) { pendingConfig resolvedEnv { key changedSinceLive } } }'
    const read = async () => {
      const { pendingConfig, resolvedEnv } = (
        await operation(shop.app, shop.tenant.owner, query, { id: encodeId('WebService', shop.production) })
      ).data!.webService
      return {
        pendingConfig,
        changed: resolvedEnv.flatMap((item: { key: string; changedSinceLive: boolean }) => (item.changedSinceLive ? [item.key] : [])),
      }
    }
    expect(await read()).toEqual({ pendingConfig: false, changed: [] })
    await marked()
    expect(await read()).toEqual({ pendingConfig: true, changed: ['BOUND', 'OWN'] })
  })

  it('are redacted from then on in what its instances print, in every process', async () => {
    const marked = await plainOnes()
    const live = await pinnedIn(shop, 'LIVE')
    const peer = await shop.process()
    const text = `${values.OWN} ${values.BOUND}`
    for (const app of [shop.app, peer]) expect((await redactorOf(app, live.id))(text)).toBe(text)
    await marked()
    const redacted = async (app: typeof peer) => (await redactorOf(app, live.id))(text)
    await expect.poll(() => redacted(shop.app)).not.toMatch(/plain-/)
    await expect.poll(() => redacted(peer)).not.toMatch(/plain-/)
  })
})
