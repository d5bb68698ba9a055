/** Bulk writes: their number of statements, and what they write. */
import { describe, expect, it } from 'vitest'
import { rows, sql } from '../../../src/platform/db/index.ts'
import { codeOf, statementsOf } from '../../support/tenant.ts'
import { countTo } from '../deploys/log-support.ts'
import { commands, configurationWorld } from './support.ts'

const shop = configurationWorld()

const keysOf = (n: number, prefix = 'KEY') => countTo(n).map((index) => `${prefix}_${String(index).padStart(3, '0')}`)
const entries = (n: number, value: string, prefix?: string) => keysOf(n, prefix).map((key) => ({ key, value: `${value} of ${key}` }))

const setSecrets = (n: number, value: string, more: object = {}) =>
  shop.run(commands.setSecrets, { projectId: shop.projectId, secrets: entries(n, value), ...more })
const setEnvVars = (n: number, value: string, more: object = {}) =>
  shop.run(commands.setEnvVars, { webServiceId: shop.production, variables: entries(n, value), ...more })

/** The number of statements of an act with few and with many entries, each in a new shop. */
async function counted(act: (n: number) => Promise<void>): Promise<{ few: number; many: number }> {
  const count = async (n: number) => {
    await shop.renew()
    await setSecrets(1, 'first')
    // The quota is read once a second, regardless of the number of writes.
    return (await statementsOf(shop.app, () => act(n))).filter((text) => !text.includes('event_usage')).length
  }
  return { few: await count(2), many: await count(100) }
}

describe('a bulk write takes as many statements for 100 entries as for 2', () => {
  it.each<[string, (n: number) => Promise<void>]>([
    [
      'new, changed and equal secrets',
      async (n) => {
        await setSecrets(n, 'one')
        await setSecrets(n, 'two')
        await setSecrets(n, 'two')
        await setSecrets(n, 'two', { mode: 'REPLACE' })
      },
    ],
    [
      'secrets that are replaced by others',
      async (n) => {
        await setSecrets(n, 'one')
        await shop.run(commands.setSecrets, { projectId: shop.projectId, secrets: entries(n, 'other', 'OTHER'), mode: 'REPLACE' })
      },
    ],
    [
      'new, changed, equal and replaced env vars',
      async (n) => {
        await setEnvVars(n, 'one')
        await setEnvVars(n, 'two')
        await setEnvVars(n, 'two')
        await shop.run(commands.setEnvVars, { webServiceId: shop.production, variables: entries(n, 'x', 'OTHER'), mode: 'REPLACE' })
      },
    ],
    [
      'an imported file',
      async (n) => {
        const text = (value: string) =>
          entries(n, value)
            .map((entry) => `${entry.key}="${entry.value}"`)
            .join('\n')
        await shop.run(commands.importEnvVars, { webServiceId: shop.production, text: text('one') })
        await shop.run(commands.importEnvVars, { webServiceId: shop.production, text: text('two'), mode: 'REPLACE' })
      },
    ],
    [
      'new, moved and replaced bindings',
      async (n) => {
        const { secrets } = await setSecrets(n, 'one')
        const bind = (more: object) => shop.run(commands.setSecretBindings, { webServiceId: shop.production, ...more })
        await bind({ bindings: secrets.map(({ id }, index) => ({ secretId: id, alias: `ALIAS_${index}` })) })
        await bind({ bindings: secrets.toReversed().map(({ id }, index) => ({ secretId: id, alias: `ALIAS_${index}` })) })
        await bind({ bindings: [], mode: 'REPLACE' })
      },
    ],
  ])('%s', async (_title, act) => {
    const { few, many } = await counted(act)
    expect(many).toBe(few)
  })
})

type Told = { type: string; key: string | null; version: number | null; sequence: number }
const told = () =>
  rows<Told>(
    shop.app.db,
    sql`select type, coalesce(data ->> 'key', data ->> 'alias') as key, (data ->> 'currentVersion')::int as version, sequence::int
        from event where project_id = ${shop.projectId}::uuid and type like 'secret%' order by ordinal`,
  )

describe('a bulk write of secrets', () => {
  it('writes a version, a fingerprint and an event for each, in the order of the keys', async () => {
    const [first, second] = [
      entries(3, 'one'),
      [...entries(1, 'one'), { key: 'KEY_002', value: 'two of KEY_002' }, { key: 'NEW', value: 'one of NEW' }],
    ]
    await shop.run(commands.setSecrets, { projectId: shop.projectId, secrets: first })
    const { secrets } = await shop.run(commands.setSecrets, { projectId: shop.projectId, secrets: second, mode: 'REPLACE' })
    expect(secrets.map(({ key, currentVersion }) => [key, currentVersion])).toEqual([
      ['KEY_001', 1],
      ['KEY_002', 2],
      ['NEW', 1],
    ])
    expect((await told()).map(({ type, key, version, sequence }) => `${type} ${key} v${version} #${sequence}`)).toEqual([
      'secret.created KEY_001 v1 #1',
      'secret.created KEY_002 v1 #1',
      'secret.created KEY_003 v1 #1',
      'secret.created NEW v1 #1',
      'secret.updated KEY_002 v2 #2',
      'secret.deleted KEY_003 v1 #2',
    ])
    const values = await Promise.all(secrets.map(async ({ id }) => (await shop.run(commands.revealSecret, { id })).value))
    expect(values).toEqual(['one of KEY_001', 'two of KEY_002', 'one of NEW'])
  })

  it('writes nothing if one of them cannot be written', async () => {
    await setSecrets(2, 'one')
    const before = await told()
    const { secrets } = await setSecrets(2, 'one')
    await shop.run(commands.setSecretBindings, { webServiceId: shop.production, bindings: [{ secretId: secrets[1]!.id }] })
    const outcome = shop.run(commands.setSecrets, { projectId: shop.projectId, secrets: entries(50, 'x', 'OTHER'), mode: 'REPLACE' })
    expect(await codeOf(outcome)).toBe('secret_bound')
    expect((await told()).filter(({ type }) => type !== 'secret_binding.created')).toEqual(before)
    expect((await setSecrets(0, '')).secrets).toHaveLength(2)
  })

  it('is atomic when 20 writers write at once', async () => {
    const writers = countTo(20).map((writer) => setSecrets(30, `writer ${writer}`))
    expect(new Set(await Promise.all(writers.map(codeOf)))).toEqual(new Set(['done']))
    const { secrets } = await setSecrets(0, '')
    expect(new Set(secrets.map(({ currentVersion }) => currentVersion))).toEqual(new Set([20]))
    const values = await Promise.all(secrets.map(async ({ id }) => (await shop.run(commands.revealSecret, { id })).value))
    expect(new Set(values.map((value) => value!.split(' of ')[0])).size).toBe(1)
  })
})
