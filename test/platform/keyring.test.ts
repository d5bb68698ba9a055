import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Keyring, openKeyring } from '../../src/platform/crypto.ts'
import { rows, run, sql } from '../../src/platform/db/index.ts'
import { newId } from '../../src/platform/id.ts'
import { MasterKeyError } from '../../src/platform/master-key.ts'
import { Secret } from '../../src/platform/settings.ts'
import { createWorld, type World } from '../support/tenant.ts'

const keyOf = (version: number, fill: number) => `${version}:${Buffer.alloc(32, fill).toString('base64')}`
/** The master key of test processes. */
const first = keyOf(1, 7)

/** Errors when a modified value is opened: the tag does not match, or the format or key version in its header is unknown. */
const unopened = /unable to authenticate data|unknown format|data key that does not exist/

let world: World
let directory: string
beforeEach(async () => {
  world = await createWorld()
  directory = await mkdtemp(join(tmpdir(), 'quayside-keyring-'))
})
afterEach(async () => {
  await world?.close()
  await rm(directory, { recursive: true, force: true })
})

type Source = { keys?: string; file?: string }
const open = ({ keys, file }: Source) =>
  openKeyring(world.app.db, { MASTER_KEYS: keys === undefined ? undefined : new Secret(keys), MASTER_KEY_FILE: file, DATA_DIR: directory })
const seal = (keyring: Keyring, organizationId: string, identity: string, plain: string) =>
  world.app.db.transaction((tx) => keyring.seal(tx, organizationId, identity, plain))
const reveal = (keyring: Keyring, organizationId: string, identity: string, sealed: Uint8Array) =>
  keyring.open(world.app.db, organizationId, identity, sealed)

describe('a sealed value', () => {
  it.each(['', 'hunter2', 'Grüße 🗝\n\u0000', 'x'.repeat(1_000_000)])('opens again, in another process too (%#)', async (plain) => {
    const organizationId = newId()
    const sealed = await seal(await open({ keys: first }), organizationId, 'row:column', plain)
    expect(await reveal(await open({ keys: first }), organizationId, 'row:column', sealed)).toBe(plain)
    if (plain.length > 4) expect(Buffer.from(sealed).includes(plain.slice(0, 100))).toBe(false)
  })

  it('is different each time', async () => {
    const keyring = await open({ keys: first })
    const organizationId = newId()
    const [one, two] = [await seal(keyring, organizationId, 'a', 'same'), await seal(keyring, organizationId, 'a', 'same')]
    expect(Buffer.from(one).equals(Buffer.from(two))).toBe(false)
  })

  it('does not open in another row, column or organization', async () => {
    const keyring = await open({ keys: first })
    const [mine, theirs] = [newId(), newId()]
    const sealed = await seal(keyring, mine, 'web_service:1:credential', 'hunter2')
    await seal(keyring, theirs, 'web_service:1:credential', 'theirs')
    await expect(reveal(keyring, mine, 'web_service:2:credential', sealed)).rejects.toThrow('unable to authenticate data')
    await expect(reveal(keyring, mine, 'web_service:1:other', sealed)).rejects.toThrow('unable to authenticate data')
    await expect(reveal(keyring, theirs, 'web_service:1:credential', sealed)).rejects.toThrow('unable to authenticate data')
  })

  it('does not open with a bit flipped, cut short, or as other bytes', async () => {
    const keyring = await open({ keys: first })
    const organizationId = newId()
    const sealed = await seal(keyring, organizationId, 'row:column', 'a value that is long enough for a thousand bits'.repeat(3))
    expect(sealed.length * 8).toBeGreaterThan(1_000)
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const changed = new Uint8Array(sealed)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      await expect(reveal(keyring, organizationId, 'row:column', changed)).rejects.toThrow(unopened)
    }
    for (let length = 0; length < sealed.length; length++) {
      await expect(reveal(keyring, organizationId, 'row:column', sealed.subarray(0, length))).rejects.toThrow(unopened)
    }
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 80 }), async (bytes) => {
        await expect(reveal(keyring, organizationId, 'row:column', bytes)).rejects.toThrow(unopened)
      }),
    )
  })

  it('opens after the transaction that created the data key was rolled back: that key is not used', async () => {
    const keyring = await open({ keys: first })
    const organizationId = newId()
    const undone = world.app.db.transaction(async (tx) => {
      for (const plain of ['one', 'two', 'three']) await keyring.seal(tx, organizationId, 'a', plain)
      throw new Error('undone')
    })
    await expect(undone).rejects.toThrow('undone')
    const sealed = await seal(keyring, organizationId, 'a', 'kept')
    expect(await reveal(await open({ keys: first }), organizationId, 'a', sealed)).toBe('kept')
  })

  it('opens in both of two processes that concurrently seal for the first time: there is one data key', async () => {
    const [left, right] = [await open({ keys: first }), await open({ keys: first })]
    const organizationId = newId()
    const sealed = await Promise.all([left, right, left, right].map((keyring, n) => seal(keyring, organizationId, 'a', String(n))))
    for (const keyring of [left, right]) {
      expect(await Promise.all(sealed.map((value) => reveal(keyring, organizationId, 'a', value)))).toEqual(['0', '1', '2', '3'])
    }
    expect(await rows(world.app.db, sql`select 1 from organization_key where organization_id = ${organizationId}::uuid`)).toHaveLength(1)
  })
})

describe('a fingerprint', () => {
  it('is equal for equal values of one organization, and unrelated between organizations', async () => {
    const keyring = await open({ keys: first })
    const [a, b] = [newId(), newId()]
    const of = (organizationId: string, value: string) => keyring.fingerprint(world.app.db, organizationId, value)
    expect(await of(a, 'x')).toMatch(/^[0-9a-f]{32}$/)
    expect(await of(a, 'x')).toBe(await of(a, 'x'))
    expect(await of(a, 'x')).not.toBe(await of(a, 'y'))
    expect(await of(a, 'x')).not.toBe(await of(b, 'x'))
    expect(await (await open({ keys: first })).fingerprint(world.app.db, a, 'x')).toBe(await of(a, 'x'))
  })

  it('stays the same when the data key is rotated', async () => {
    const keyring = await open({ keys: first })
    const organizationId = newId()
    const before = await keyring.fingerprint(world.app.db, organizationId, 'x')
    await keyring.rotateDataKey(world.app.db, organizationId)
    expect(await (await open({ keys: first })).fingerprint(world.app.db, organizationId, 'x')).toBe(before)
  })
})

describe('the program does not start', () => {
  it('with another key of the same version', async () => {
    await expect(open({ keys: keyOf(1, 8) })).rejects.toThrow('version 1 is not the key')
  })

  it('without the version that data keys are wrapped with', async () => {
    await seal(await open({ keys: first }), newId(), 'a', 'x')
    await expect(open({ keys: keyOf(2, 9) })).rejects.toThrow('version 1 is in use, but not loaded')
  })

  it('with keys that this database does not know', async () => {
    await expect(open({ keys: keyOf(2, 9) })).rejects.toThrow('none of the loaded')
  })

  it('without the file that a filled database was sealed with', async () => {
    await expect(open({})).rejects.toThrow('is missing')
    await expect(open({ file: join(directory, 'elsewhere') })).rejects.toThrow('is missing')
    await expect(stat(join(directory, 'master.key'))).rejects.toThrow('ENOENT')
  })

  it.each(['', ' ', 'secret', '0:AAAA', `1:${Buffer.alloc(31).toString('base64')}`, `${first},${first}`, `x${first}`])(
    'with %j for a key',
    async (keys) => {
      const file = join(directory, 'keys')
      await writeFile(file, keys)
      await expect(open({ file })).rejects.toThrow(MasterKeyError)
    },
  )

  it('and does not print a key in the error', async () => {
    const file = join(directory, 'keys')
    await writeFile(file, `${first}\n${first}`)
    await expect(open({ file })).rejects.toThrow(/^(?!.*BwcH)/)
  })
})

describe('two versions', () => {
  it('open what either wrapped; the newer one wraps new keys', async () => {
    const [old, fresh] = [newId(), newId()]
    const sealed = await seal(await open({ keys: first }), old, 'a', 'old')
    const both = await open({ keys: `${first},${keyOf(2, 9)}` })
    expect(await reveal(both, old, 'a', sealed)).toBe('old')
    await seal(both, fresh, 'a', 'fresh')
    const wrapped = await rows<{ organizationId: string; masterVersion: number }>(
      world.app.db,
      sql`select organization_id, master_version from organization_key`,
    )
    expect(new Map(wrapped.map((key) => [key.organizationId, key.masterVersion]))).toEqual(
      new Map([
        [old, 1],
        [fresh, 2],
      ]),
    )
  })
})

it('for an empty database, a key is created that only its owner can read, and used again at the next start', async () => {
  await run(world.app.db, sql`delete from master_key_check`)
  const [keyring] = await Promise.all([open({}), open({})])
  const file = join(directory, 'master.key')
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect(await readFile(file, 'utf8')).toMatch(/^1:[A-Za-z0-9+/]{43}=\n$/)
  const organizationId = newId()
  const sealed = await seal(keyring, organizationId, 'a', 'x')
  expect(await reveal(await open({}), organizationId, 'a', sealed)).toBe('x')
})
