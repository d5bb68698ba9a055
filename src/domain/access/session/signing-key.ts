/**
 * Keys that access tokens are signed with (Ed25519). A new key is published for a while before it signs, and a former one as long as its
 * tokens may be valid, so that whoever verifies tokens with the published keys knows all that are in use.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto'
import type { Chore } from '../../../platform/claim.ts'
import { newRow, rows, run, sql, type Tx } from '../../../platform/db/index.ts'
import { lock } from '../../../platform/db/lock.ts'
import { newId, nilId } from '../../../platform/id.ts'
import { perApp } from '../../../platform/per-app.ts'
import type { App } from '../../../platform/work.ts'

type Stored = { id: string; publicKey: Uint8Array; ageSeconds: number }

type Key = { id: string; publicKey: KeyObject; jwk: JsonWebKey }

/** Keys, newest first. */
type Keys = { all: Key[]; signer: { id: string; privateKey: KeyObject } | null; readAtMs: number }

const rotatedAfterSeconds = 30 * 86_400
/** Time for which a new key is only published. */
const announcedSeconds = 3_600
/** Time after which keys are read again, and between reads for keys that are not known. */
const freshMs = 60_000
const unknownKeyMs = 1_000

const topic = 'signing-keys'
export const privateKeyIdentity = (id: string) => `signing_key:${id}:private_key`

const jwkOf = (id: string, bytes: Uint8Array): JsonWebKey => ({
  kty: 'OKP',
  crv: 'Ed25519',
  ...{ kid: id, alg: 'EdDSA', use: 'sig' },
  x: Buffer.from(bytes).toString('base64url'),
})

const keyring = perApp((app) => {
  let keys: Promise<Keys> | null = null
  app.wake.on(topic, () => {
    keys = null
  })
  const read = (): Promise<Keys> => {
    const reading = readKeys(app)
    keys = reading
    reading.catch(() => {
      if (keys === reading) keys = null
    })
    return reading
  }
  return {
    /** Not older than `maxAgeMs`. */
    async get(maxAgeMs: number): Promise<Keys> {
      const known = keys && (await keys)
      return known && performance.now() - known.readAtMs < maxAgeMs ? known : read()
    },
  }
})

async function readKeys(app: App): Promise<Keys> {
  const readAtMs = performance.now()
  const stored = await rows<Stored>(
    app.db,
    sql`select id, public_key, extract(epoch from app_now() - created_at)::float8 as age_seconds from signing_key order by id desc`,
  )
  const all = stored.map(({ id, publicKey }) => {
    const jwk = jwkOf(id, publicKey)
    return { id, jwk, publicKey: createPublicKey({ key: jwk, format: 'jwk' }) }
  })
  // The first key of an installation signs at once.
  const signing = stored.find(({ ageSeconds }) => ageSeconds >= announcedSeconds) ?? stored.at(-1)
  return { all, signer: signing ? await openKey(app, signing) : null, readAtMs }
}

async function openKey(app: App, { id, publicKey }: Stored): Promise<Keys['signer']> {
  const [found] = await rows<{ privateKey: Uint8Array }>(app.db, sql`select private_key from signing_key where id = ${id}::uuid`)
  if (!found) return null
  const d = await app.keyring.open(app.db, nilId, privateKeyIdentity(id), found.privateKey)
  return { id, privateKey: createPrivateKey({ key: { ...jwkOf(id, publicKey), d }, format: 'jwk' }) }
}

/** The key to sign with. Creates the first one. */
export async function signingKey(app: App): Promise<{ id: string; privateKey: KeyObject }> {
  const { signer } = await keyring(app).get(freshMs)
  if (signer) return signer
  await rotateSigningKeys(app)
  return (await keyring(app).get(0)).signer!
}

/** The key with an id; null if there is none. */
export async function verifyingKey(app: App, id: string): Promise<KeyObject | null> {
  const keyOf = ({ all }: Keys) => all.find((key) => key.id === id)?.publicKey
  return keyOf(await keyring(app).get(freshMs)) ?? keyOf(await keyring(app).get(unknownKeyMs)) ?? null
}

/** All keys with which tokens are signed now, soon, or were signed that may be valid, as a JSON Web Key Set. */
export async function publishedKeys(app: App): Promise<{ keys: JsonWebKey[] }> {
  await signingKey(app)
  return { keys: (await keyring(app).get(freshMs)).all.map(({ jwk }) => jwk) }
}

/** Adds a key if there is none that is new enough, and removes those whose tokens have all expired. */
export async function rotateSigningKeys(app: App): Promise<void> {
  const changed = await app.db.transaction(async (tx) => {
    await lock(tx, 'signing keys')
    const [newest] = await rows<{ isOld: boolean }>(
      tx,
      sql`select created_at < app_now() - ${rotatedAfterSeconds} * interval '1 second' as is_old from signing_key order by id desc limit 1`,
    )
    const added = !newest || newest.isOld
    if (added) await addKey(app, tx)
    const endedSeconds = announcedSeconds + app.settings.JWT_ACCESS_EXPIRY + 2 * (freshMs / 1_000)
    const removed = await run(
      tx,
      sql`delete from signing_key k where exists (
            select 1 from signing_key n where n.id > k.id and n.created_at < app_now() - ${endedSeconds} * interval '1 second')`,
    )
    return added || removed > 0
  })
  if (changed) app.wake.notify(topic)
  if (changed) await keyring(app).get(0)
}

async function addKey(app: App, tx: Tx): Promise<void> {
  const id = newId()
  const { x, d } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  const privateKey = await app.keyring.seal(tx, nilId, privateKeyIdentity(id), d!)
  await run(tx, sql`insert into signing_key ${newRow({ id, publicKey: new Uint8Array(Buffer.from(x!, 'base64url')), privateKey })}`)
}

export const renewSigningKeys: Chore = { name: 'renew signing keys', topic: null, everyMs: 3_600_000, run: rotateSigningKeys }
