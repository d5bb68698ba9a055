import { describe, expect, it } from 'vitest'
import { envVarsByService, openEnvVar } from '../../../src/domain/configuration/env-var/index.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'
import { canaryOf } from '../../support/canary.ts'
import { codeOf, createTenant, operation, refusal, statementsOf } from '../../support/tenant.ts'
import { auditOf, commands, configurationWorld, eventsOf } from './support.ts'

const shop = configurationWorld()

const { setEnvVars, createEnvVar, updateEnvVar, deleteEnvVar, importEnvVars, exportEnvVars } = commands

const set = (variables: object[], more: object = {}) => shop.run(setEnvVars, { webServiceId: shop.production, variables, ...more })
const list = async () => (await envVarsByService({ tx: shop.app.db, caller: shop.tenant.owner }, [shop.production]))[0]!
const values = async () =>
  Object.fromEntries(
    await Promise.all((await list()).map(async (item) => [item.key, await openEnvVar({ app: shop.app, tx: shop.app.db }, item)])),
  )

describe('env vars', () => {
  it('are written by key: MERGE deletes nothing, REPLACE deletes the others', async () => {
    await set([
      { key: 'A', value: '1' },
      { key: 'B', value: 'two\nlines' },
      { key: 'EMPTY', value: '' },
    ])
    await set([{ key: 'A', value: '2' }])
    expect(await values()).toEqual({ A: '2', B: 'two\nlines', EMPTY: '' })
    const { envVars } = await set([{ key: 'C', value: '3' }], { mode: 'REPLACE' })
    expect(envVars.map(({ key }) => key)).toEqual(['C'])
    const events = (await eventsOf(shop.app, 'env_var.changed')).filter(({ subjectId }) => subjectId === shop.production)
    expect(events.map(({ data }) => [data.created, data.updated, data.deleted, data.deploy])).toEqual([
      [['A', 'B', 'EMPTY'], [], [], false],
      [[], ['A'], [], false],
      [['C'], [], ['A', 'B', 'EMPTY'], false],
    ])
  })

  it('keep flags that a write omits, and by default are plain and set for builds and instances', async () => {
    await set([{ key: 'A', value: '1', isSecret: true, buildTime: false }])
    await set([{ key: 'A', value: '2' }])
    expect(await list()).toMatchObject([{ isSecret: true, buildTime: false, runTime: true, version: 2 }])
    await set([{ key: 'B', value: '1' }])
    expect((await list())[1]).toMatchObject({ key: 'B', isSecret: false, buildTime: true, runTime: true })
  })

  it('get no new version and no event from an equal value', async () => {
    await set([{ key: 'A', value: 'same' }])
    const before = (await eventsOf(shop.app, 'env_var.changed')).length
    await set([{ key: 'A', value: 'same' }])
    expect((await list())[0]).toMatchObject({ version: 1 })
    expect((await eventsOf(shop.app, 'env_var.changed')).length).toBe(before)
  })

  it.each([
    ['a key that begins with a digit', { key: '1A', value: 'x' }, 'variables.0.key'],
    ['a key with a hyphen', { key: 'A-B', value: 'x' }, 'variables.0.key'],
    ['an empty key', { key: '', value: 'x' }, 'variables.0.key'],
    ['a key with a line feed at its end', { key: 'A\n', value: 'x' }, 'variables.0.key'],
    ['a value of 64 KiB and one byte', { key: 'A', value: 'x'.repeat(64 * 1024 + 1) }, 'variables.0.value'],
    ['a value of 1 MiB', { key: 'A', value: 'x'.repeat(1024 * 1024) }, 'variables.0.value'],
    ['a value with a NUL', { key: 'A', value: 'a\0b' }, 'variables.0.value'],
    ['an unpaired surrogate', { key: 'A', value: 'a\ud800' }, 'variables.0.value'],
    ['the mask as a value', { key: 'A', value: '********' }, 'variables.0.value'],
  ])('refuse %s, naming the field and not the value', async (_what, variable, field) => {
    const error = await refusal(set([variable]))
    expect(error).toMatchObject({ code: 'invalid_input', field })
    if (variable.value.length > 1) expect(JSON.stringify([error.message, error.details])).not.toContain(variable.value)
    expect(await list()).toEqual([])
  })

  it('accept unusual values: 64 KiB, line ends, control characters, any script', async () => {
    const odd = { BIG: 'x'.repeat(64 * 1024), LINES: 'a\r\nb\n', CONTROL: '\u0001\u001b[0m', SCRIPT: 'Grüße 🗝', __proto__x: 'y' }
    await set(Object.entries(odd).map(([key, value]) => ({ key, value })))
    expect(await values()).toEqual(odd)
  })

  it('refuse a repeated key in a bulk write, and write nothing', async () => {
    const error = await refusal(
      set([
        { key: 'A', value: '1' },
        { key: 'B', value: '1' },
        { key: 'A', value: '2' },
      ]),
    )
    expect(error).toMatchObject({ code: 'invalid_input', field: 'variables.2.key' })
    expect(await list()).toEqual([])
  })

  it('accept PORT, list it, and show it as reserved', async () => {
    const { warnings } = await set([{ key: 'PORT', value: '3000' }])
    expect(warnings).toEqual(['PORT is reserved: Quayside sets it for each instance, and this value is not used.'])
    expect(await values()).toEqual({ PORT: '3000' })
  })

  it('are created once: a second one with the same key is refused with key_taken', async () => {
    const input = { webServiceId: shop.production, key: 'A', value: '1' }
    const { envVar } = await shop.run(createEnvVar, input)
    expect(await codeOf(shop.run(createEnvVar, input))).toBe('key_taken')
    await shop.run(updateEnvVar, { id: envVar.id, value: '2', ifVersion: 1 })
    expect(await codeOf(shop.run(updateEnvVar, { id: envVar.id, value: '3', ifVersion: 1 }))).toBe('version_conflict')
    await shop.run(deleteEnvVar, { id: envVar.id })
    expect(await codeOf(shop.run(deleteEnvVar, { id: envVar.id }))).toBe('not_found')
  })

  it('become plain only if the value is given again', async () => {
    const { envVar } = await shop.run(createEnvVar, { webServiceId: shop.production, key: 'A', value: 'hunter2', isSecret: true })
    expect(await refusal(shop.run(updateEnvVar, { id: envVar.id, isSecret: false }))).toMatchObject({
      code: 'invalid_input',
      field: 'value',
    })
    await shop.run(updateEnvVar, { id: envVar.id, isSecret: false, value: 'hunter2' })
    expect((await list())[0]).toMatchObject({ isSecret: false })
  })

  it('are found only through their own service, if a service is given', async () => {
    const { envVar } = await shop.run(createEnvVar, { webServiceId: shop.production, key: 'A', value: '1' })
    expect(await codeOf(shop.run(updateEnvVar, { id: envVar.id, webServiceId: shop.staging, value: '2' }))).toBe('not_found')
    expect(await codeOf(shop.run(updateEnvVar, { id: envVar.id, webServiceId: 'garbage', value: '2' }))).toBe('not_found')
    expect(await codeOf(shop.run(updateEnvVar, { id: envVar.id, webServiceId: shop.production, value: '2' }))).toBe('done')
  })

  it('of another organization are not found, like unknown ones', async () => {
    const { envVar } = await shop.run(createEnvVar, { webServiceId: shop.production, key: 'A', value: '1' })
    const stranger = (await createTenant(shop.app)).owner
    for (const id of [envVar.id, newId()]) {
      const attempts = [
        shop.run(updateEnvVar, { id, value: 'x' }, stranger),
        shop.run(deleteEnvVar, { id }, stranger),
        shop.run(commands.revealEnvVar, { id }, stranger),
      ]
      expect(new Set(await Promise.all(attempts.map(codeOf)))).toEqual(new Set(['not_found']))
    }
    expect(await codeOf(shop.run(setEnvVars, { webServiceId: shop.production, variables: [] }, stranger))).toBe('not_found')
  })

  it('need permissions: a READ key changes nothing, a WRITE key deletes nothing', async () => {
    const [reader, writer] = [shop.tenant.key('READ'), shop.tenant.key('WRITE')]
    const input = { webServiceId: shop.production, variables: [{ key: 'A', value: '1' }] }
    expect(await codeOf(shop.run(setEnvVars, input, reader))).toBe('forbidden')
    await shop.run(setEnvVars, input, writer)
    expect(await codeOf(shop.run(setEnvVars, { ...input, variables: [], mode: 'REPLACE' }, writer))).toBe('forbidden')
    expect(await values()).toEqual({ A: '1' })
  })

  it('are imported from a .env file, and exported without the secret ones', async () => {
    const text = '# comment\nexport A="one\\ntwo"\nB=\'$x\' # behind\n'
    await shop.run(importEnvVars, { webServiceId: shop.production, text })
    await set([{ key: 'C', value: 'hunter2', isSecret: true }])
    const bare = await shop.run(exportEnvVars, { webServiceId: shop.production })
    expect(bare).toMatchObject({ text: "A='one\ntwo'\nB='$x'\n", warnings: [] })
    const whole = await shop.run(exportEnvVars, { webServiceId: shop.production, includeSecrets: true })
    expect(whole.text).toBe("A='one\ntwo'\nB='$x'\nC=hunter2\n")
    expect(await codeOf(shop.run(exportEnvVars, { webServiceId: shop.production, includeSecrets: true }, shop.tenant.key('READ')))).toBe(
      'forbidden',
    )
    await shop.run(importEnvVars, { webServiceId: shop.production, text: whole.text, mode: 'REPLACE' })
    expect(await values()).toEqual({ A: 'one\ntwo', B: '$x', C: 'hunter2' })
    await set([{ key: 'D', value: `it's "odd"` }])
    const odd = await shop.run(exportEnvVars, { webServiceId: shop.production })
    expect(odd.text).toMatch(/^# D has a value .*\n# D="it's \\"odd\\""$/m)
    expect(odd.warnings).toEqual([expect.stringMatching(/^D: /)])
    for (const bad of ['A=1\nA=2', 'A=********', 'oops', '1A=x']) {
      expect(await refusal(shop.run(importEnvVars, { webServiceId: shop.production, text: bad }))).toMatchObject({
        code: 'invalid_input',
        field: 'text',
      })
    }
  })

  it('are named in the audit row of an import and of a deletion', async () => {
    const { envVars } = await shop.run(importEnvVars, { webServiceId: shop.production, text: 'A=1\nB=2', mode: 'REPLACE' })
    await shop.run(deleteEnvVar, { id: envVars[0]!.id })
    const fingerprint = expect.stringMatching(/^[0-9a-f]{32}$/)
    expect((await auditOf(shop.app, 'importEnvVars')).at(-1)!.details).toEqual({
      fingerprints: { A: fingerprint, B: fingerprint },
      mode: 'REPLACE',
    })
    expect((await auditOf(shop.app, 'deleteEnvVar')).at(-1)).toMatchObject({
      targetName: 'A',
      before: { key: 'A', isSecret: false },
      after: null,
    })
  })

  it('are written once for a repeated idempotency key, which is refused with another input', async () => {
    const input = { webServiceId: shop.production, variables: [{ key: 'A', value: 'hunter2', isSecret: true }], idempotencyKey: 'once' }
    await shop.run(setEnvVars, input)
    await shop.run(setEnvVars, input)
    expect((await list())[0]).toMatchObject({ version: 1 })
    expect(await codeOf(shop.run(setEnvVars, { ...input, variables: [{ key: 'A', value: 'other' }] }))).toBe('idempotency_key_reused')
  })

  it('are neither lost nor duplicated by concurrent writers', async () => {
    await Promise.all(
      Array.from({ length: 12 }, (_, n) =>
        set([
          { key: 'SAME', value: `${n}` },
          { key: `K${n}`, value: 'x' },
        ]),
      ),
    )
    const keys = (await list()).map(({ key }) => key)
    expect(keys.length).toBe(13)
    expect((await list()).find(({ key }) => key === 'SAME')).toMatchObject({ version: 12 })
  })

  it('are never stored in plaintext: not in their table, nor in events or audit rows', async () => {
    const canary = 'canary-5a1f0e77-value'
    const variables = [{ key: 'TOKEN', value: canary, isSecret: true }]
    await shop.run(setEnvVars, { webServiceId: shop.production, variables, idempotencyKey: 'canary' })
    await refusal(shop.run(setEnvVars, { webServiceId: shop.production, variables: [...variables, { key: 'BAD', value: `${canary}\0` }] }))
    await shop.run(commands.revealEnvVars, { webServiceId: shop.production, idempotencyKey: 'canary' })
    expect(await canaryOf(shop.url).searchDatabase(shop.url)).toEqual([])
  })
})

describe('env vars in GraphQL', () => {
  it('masks secret values, shows plain ones, and takes one statement for the variables of many services', async () => {
    await set([
      { key: 'PLAIN', value: 'shown' },
      { key: 'SECRET', value: 'hunter2', isSecret: true },
    ])
    const query = '{ webServices { nodes { envVars { key value maskedValue isSecret fingerprint } } } }'
    const answer = await operation(shop.app, shop.tenant.owner, query)
    expect(answer.errors).toBeUndefined()
    expect(answer.data!.webServices.nodes[0].envVars).toMatchObject([
      { key: 'PLAIN', value: 'shown', maskedValue: 'shown' },
      { key: 'SECRET', value: null, maskedValue: '********' },
    ])
    const texts = await statementsOf(shop.app, () => operation(shop.app, shop.tenant.owner, query))
    expect(texts.filter((text) => /from env_var t where/.test(text)).length).toBe(1)
  })

  it('finds a variable by its id, only within its organization', async () => {
    const { envVar } = await shop.run(createEnvVar, { webServiceId: shop.production, key: 'A', value: '1' })
    const query = 'query ($id: ID!) { node(id: $id) { ... on EnvVar { key } } }'
    const variables = { id: encodeId('EnvVar', envVar.id) }
    expect((await operation(shop.app, shop.tenant.owner, query, variables)).data).toEqual({ node: { key: 'A' } })
    expect((await operation(shop.app, (await createTenant(shop.app)).owner, query, variables)).data).toEqual({ node: null })
  })
})
