import { expect, it } from 'vitest'
import { run, sql } from '../../../src/platform/db/index.ts'
import { codeOf, statementsOf } from '../../support/tenant.ts'
import { commands, configurationWorld } from './support.ts'

const shop = configurationWorld({ REVEALS_PER_MINUTE: '100000' })

const keys = ['A', 'B', 'C', 'D', 'E', 'F']
const rounds = 8

async function boundSecrets() {
  const entries = keys.map((key) => ({ key, value: `value of ${key}` }))
  const { secrets } = await shop.run(commands.setSecrets, { projectId: shop.projectId, secrets: entries })
  const bindings = secrets.map(({ id }) => ({ secretId: id }))
  for (const webServiceId of [shop.production, shop.staging]) await shop.run(commands.setSecretBindings, { webServiceId, bindings })
  return { secrets, bindings }
}

/** Expects that each act succeeds, and that no transaction was retried because of a deadlock. */
async function endWell(acts: () => Promise<unknown>[]) {
  const statements = await statementsOf(shop.app, async () => {
    for (let round = 0; round < rounds; round++) {
      const outcomes = await Promise.all(acts().map(codeOf))
      expect(new Set(outcomes)).toEqual(new Set(['done']))
    }
  })
  expect(statements).toContain('COMMIT')
  expect(statements).not.toContain('ROLLBACK')
}

it('concurrent reveals, writes and bindings of secrets succeed', async () => {
  const { secrets, bindings } = await boundSecrets()
  await endWell(() => [
    ...[shop.production, shop.staging].map((webServiceId) => shop.run(commands.revealResolvedEnv, { webServiceId })),
    ...secrets.map(({ id }) => shop.run(commands.revealSecret, { id })),
    ...secrets.slice(0, 2).map(({ id }, n) => shop.run(commands.updateSecret, { id, value: `${Math.random()} ${n}` })),
    shop.run(commands.setSecrets, {
      projectId: shop.projectId,
      secrets: keys.toReversed().map((key) => ({ key, value: `${Math.random()}` })),
    }),
    shop.run(commands.setSecretBindings, { webServiceId: shop.production, bindings: bindings.toReversed() }),
    shop.run(commands.setSecretBindings, { webServiceId: shop.staging, bindings }),
  ])
})

it('concurrent reveals and writes of env vars succeed', async () => {
  const variables = keys.map((key) => ({ key, value: key, isSecret: true }))
  const { envVars } = await shop.run(commands.setEnvVars, { webServiceId: shop.production, variables })
  await endWell(() => [
    ...envVars.map(({ id }) => shop.run(commands.updateEnvVar, { id, value: `${Math.random()}` })),
    ...envVars.map(({ id }) => shop.run(commands.revealEnvVar, { id })),
    shop.run(commands.revealEnvVars, { webServiceId: shop.production }),
    shop.run(commands.revealResolvedEnv, { webServiceId: shop.production }),
    shop.run(commands.setEnvVars, {
      webServiceId: shop.production,
      variables: keys.toReversed().map((key) => ({ key, value: `${Math.random()}` })),
    }),
  ])
})

it('concurrent writes, deletions and cascading deletions of bindings end without an internal error', async () => {
  const secretOf = async (key: string) =>
    (await shop.run(commands.createSecret, { projectId: shop.projectId, key, value: 'v', isSecret: false })).secret
  for (let round = 0; round < rounds; round++) {
    const [kept, gone, other] = [await secretOf(`KEPT${round}`), await secretOf(`GONE${round}`), await secretOf(`OTHER${round}`)]
    const bind = (secretId: string, alias: string) => ({ secretId, alias: `${alias}${round}` })
    const { secretBindings } = await shop.run(commands.setSecretBindings, {
      webServiceId: shop.production,
      bindings: [bind(kept.id, 'X'), bind(gone.id, 'Y'), bind(other.id, 'Z')],
    })
    const z = secretBindings.find(({ alias }) => alias === `Z${round}`)!
    const outcomes = await Promise.all(
      [
        shop.run(commands.setSecretBindings, {
          webServiceId: shop.production,
          bindings: [bind(kept.id, 'Y'), bind(kept.id, 'Z')],
          mode: 'MERGE',
        }),
        shop.run(commands.deleteSecret, { id: gone.id, force: true }),
        shop.run(commands.unbindSecret, { id: z.id }),
      ].map(codeOf),
    )
    expect(outcomes).toEqual(['done', 'done', 'done'])
  }
})

it('a transaction that the database aborted for a deadlock is retried', async () => {
  const { secrets } = await boundSecrets()
  const [first, second] = secrets
  const lock = (id: string) => sql`select 1 from secret where id = ${id}::uuid for update`
  let meet: () => void
  const met = new Promise<void>((resolve) => {
    meet = resolve
  })
  let runs = 0
  let waiting = 2
  const inOrder = (ids: string[]) =>
    shop.app.db.transaction(async (tx) => {
      runs++
      await run(tx, lock(ids[0]!))
      if (--waiting === 0) meet()
      await met
      await run(tx, lock(ids[1]!))
      return ids[0]
    })
  expect(await Promise.all([inOrder([first!.id, second!.id]), inOrder([second!.id, first!.id])])).toEqual([first!.id, second!.id])
  // More than 3 if they deadlocked again.
  expect(runs).toBeGreaterThanOrEqual(3)
})

it('a transaction that fails every time is retried three times', async () => {
  let runs = 0
  const outcome = shop.app.db.transaction(async (tx) => {
    runs++
    await run(tx, sql`do $$ begin raise exception 'no' using errcode = '40001'; end $$`)
  })
  await expect(outcome).rejects.toThrow('no')
  expect(runs).toBe(4)
})
