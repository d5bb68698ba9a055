import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { setEnvVars } from '../../src/domain/configuration/env-var/index.ts'
import { createSecret } from '../../src/domain/configuration/secret/index.ts'
import { dataKeyVersion, openKeyring, rotateMasterKey } from '../../src/platform/crypto.ts'
import { rows, run, sql } from '../../src/platform/db/index.ts'
import { newId } from '../../src/platform/id.ts'
import { rotateDataKeys } from '../../src/platform/reseal.ts'
import { Secret } from '../../src/platform/settings.ts'
import { createShop, type Shop } from '../domain/configuration/support.ts'
import { createWorld, operation, type World } from '../support/tenant.ts'

const keyOf = (version: number, fill: number) => `${version}:${Buffer.alloc(32, fill).toString('base64')}`
/** The master key of test processes. */
const first = keyOf(1, 7)
const second = keyOf(2, 9)

let world: World
beforeEach(async () => {
  world = await createWorld()
})
afterEach(() => world?.close())

const settingsOf = (...keys: string[]) => ({ MASTER_KEYS: new Secret(keys.join(',')), MASTER_KEY_FILE: undefined, DATA_DIR: '/nowhere' })
const open = (...keys: string[]) => openKeyring(world.app.db, settingsOf(...keys))
const masterVersions = async () =>
  (
    await rows<{ masterVersion: number; n: number }>(
      world.app.db,
      sql`select master_version, count(*)::int as n from organization_key group by 1 order by 1`,
    )
  ).map(({ masterVersion, n }) => [masterVersion, n])

describe('the rotation of data keys', () => {
  const sealedVersions = (table: string, column: string) =>
    world.app.db.pool
      .query(`select distinct get_byte(${column}, 4) as version from ${table} order by 1`)
      .then(({ rows: found }) => found.map(({ version }) => version))

  it('reseals everything with a new key when the current one is too old, and every value still opens', async () => {
    const shop = await createShop(world.app)
    await shop.run(setEnvVars, { webServiceId: shop.production, variables: [{ key: 'PLAIN', value: 'plain value' }] })
    await shop.run(createSecret, { projectId: shop.projectId, key: 'TOKEN', value: 'secret value', isSecret: false })
    const signal = new AbortController().signal
    await rotateDataKeys.run(world.app, signal)
    expect(await sealedVersions('env_var', 'value')).toEqual([1])

    await run(world.app.db, sql`update organization_key set created_at = now() - interval '91 days'`)
    await rotateDataKeys.run(world.app, signal)
    expect(await sealedVersions('env_var', 'value')).toEqual([2])
    expect(await sealedVersions('secret_version', 'value')).toEqual([2])
    expect(await read(shop)).toEqual({ env: 'plain value', secret: 'secret value' })

    const writtenAt = await rows(world.app.db, sql`select value from env_var`)
    await rotateDataKeys.run(world.app, signal)
    expect(await rows(world.app.db, sql`select value from env_var`)).toEqual(writtenAt)
  })

  it('logs a value that does not open, and reseals all others', async () => {
    const { app } = world
    const shop = await createShop(app)
    const variables = ['A', 'B', 'C'].map((key) => ({ key, value: `value of ${key}` }))
    const { envVars } = await shop.run(setEnvVars, { webServiceId: shop.production, variables })
    await shop.run(createSecret, { projectId: shop.projectId, key: 'TOKEN', value: 'value of a secret' })
    const broken = envVars.find(({ key }) => key === 'B')!
    await run(
      app.db,
      sql`update env_var set value = set_byte(value, length(value) - 1, get_byte(value, length(value) - 1) # 1) where id = ${broken.id}::uuid`,
    )
    await app.keyring.rotateDataKey(app.db, shop.tenant.organizationId)
    await rotateDataKeys.run(app, new AbortController().signal)
    const versions = await rows(
      app.db,
      sql`select key, ${dataKeyVersion(sql`value`)} as version from env_var
          union all select s.key, ${dataKeyVersion(sql`v.value`)} from secret s join secret_version v on v.secret_id = s.id order by 1`,
    )
    expect(versions).toEqual([
      { key: 'A', version: 2 },
      { key: 'B', version: 1 },
      { key: 'C', version: 2 },
      { key: 'TOKEN', version: 2 },
    ])
    const logged = app.logged.filter(({ msg }) => String(msg).includes('could not be opened'))
    expect(logged).toMatchObject([{ level: expect.anything(), table: 'env_var', column: 'value', row: broken.id }])
  })

  it('has no effect if it is rolled back: what is sealed next opens', async () => {
    const { keyring, db } = world.app
    const organizationId = newId()
    await keyring.seal(db, organizationId, 'row:column', 'x')
    await expect(
      db.transaction(async (tx) => {
        await keyring.rotateDataKey(tx, organizationId)
        await keyring.seal(tx, organizationId, 'row:column', 'x')
        throw new Error('undone')
      }),
    ).rejects.toThrow('undone')
    const sealed = await keyring.seal(db, organizationId, 'row:column', 'kept')
    expect(await (await open(first)).open(db, organizationId, 'row:column', sealed)).toBe('kept')
  })
})

const read = async (shop: Shop) => {
  const query = 'query ($id: ID!) { webServices { nodes { envVars { value } } } project(id: $id) { secrets { nodes { value } } } }'
  const { data } = await operation(world.app, shop.tenant.owner, query, { id: shop.projectId })
  return { env: data!.webServices.nodes[0].envVars[0].value, secret: data!.project.secrets.nodes[0].value }
}

const plainOf = (id: string) => id.split('').reverse().join('')

describe('the rotation of the master key', () => {
  it('rewraps every data key while a server runs, which can still read', async () => {
    const organizations = Array.from({ length: 230 }, newId)
    const { keyring, db } = world.app
    const sealed = await Promise.all(organizations.map((id) => keyring.seal(db, id, 'row:column', plainOf(id))))
    expect(await rotateMasterKey(db, settingsOf(first, second))).toEqual({ version: 2, rewrapped: 230, added: false })
    expect(await masterVersions()).toEqual([[2, 230]])
    const rotated = await open(second)
    for (const [index, id] of organizations.entries()) {
      expect(await keyring.open(db, id, 'row:column', sealed[index]!)).toBe(plainOf(id))
      expect(await rotated.open(db, id, 'row:column', sealed[index]!)).toBe(plainOf(id))
    }
    await expect(open(first)).rejects.toThrow('Master key version 2 is in use, but not loaded.')
  })

  it('that was interrupted is completed by the next one', async () => {
    const { keyring, db } = world.app
    const organizations = Array.from({ length: 150 }, newId)
    for (const id of organizations) await keyring.seal(db, id, 'row:column', plainOf(id))
    let transactions = 0
    const cut = {
      ...db,
      transaction: (work: Parameters<typeof db.transaction>[0]) =>
        ++transactions > 1 ? Promise.reject(new Error('killed')) : db.transaction(work),
    }
    await expect(rotateMasterKey(cut as typeof db, settingsOf(first, second))).rejects.toThrow('killed')
    expect(await masterVersions()).toEqual([
      [1, 50],
      [2, 100],
    ])
    expect(await rotateMasterKey(db, settingsOf(first, second))).toMatchObject({ rewrapped: 50 })
    expect(await masterVersions()).toEqual([[2, 150]])
  })

  it('fails without a newer key, and changes nothing', async () => {
    await world.app.keyring.seal(world.app.db, newId(), 'row:column', 'x')
    await expect(rotateMasterKey(world.app.db, settingsOf(first))).rejects.toThrow('Add a newer version to MASTER_KEYS')
    expect(await masterVersions()).toEqual([[1, 1]])
  })

  it("adds a key to the installation's own file, readable by its owner alone, which a running server loads by itself", async () => {
    const directory = await mkdtemp(join(tmpdir(), 'quayside-crypto-'))
    try {
      await writeFile(join(directory, 'master.key'), `${first}\n`, { mode: 0o600 })
      const settings = { MASTER_KEYS: undefined, MASTER_KEY_FILE: undefined, DATA_DIR: directory }
      const serving = await openKeyring(world.app.db, settings)
      const organizationId = newId()
      const sealed = await world.app.keyring.seal(world.app.db, organizationId, 'row:column', 'x')
      expect(await rotateMasterKey(world.app.db, settings)).toEqual({ version: 2, rewrapped: 1, added: true })
      expect(await readFile(join(directory, 'master.key'), 'utf8')).toMatch(/^1:.{44}\n2:.{44}\n$/)
      expect(await serving.open(world.app.db, organizationId, 'row:column', sealed)).toBe('x')
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  })
})
