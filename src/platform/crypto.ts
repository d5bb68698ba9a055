/**
 * Envelope encryption: a master key (file or environment, versioned) wraps data keys, of which each organization has one in use and
 * its former ones; values are sealed with AES-256-GCM under the identity of the row they belong to, so that a ciphertext moved
 * elsewhere does not open. Former data keys stay: old values and backups need them.
 */
import { createHmac, createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto'
import { decrypt, encrypt, ivBytes, joined, tagBytes } from './cipher.ts'
import { type Db, row, run, sql, type Tx } from './db/index.ts'
import { newId } from './id.ts'
import { loadMasterKeys, type MasterKeySettings, unwrap, type WrappedKey, wrap } from './master-key.ts'

export { MasterKeyError, rotateMasterKey } from './master-key.ts'

/** A value and the identity that it is sealed for. */
export type Unsealed = { identity: string; plain: string }

export type Keyring = {
  /** Seals a value; `identity` names the row and column, e.g. `web_service:<id>:repository_credential`. */
  seal(tx: Tx, organizationId: string, identity: string, plain: string): Promise<Uint8Array<ArrayBuffer>>
  /** Seals many values of one organization, in order; the key is read once. */
  sealAll(tx: Tx, organizationId: string, values: readonly Unsealed[]): Promise<Uint8Array<ArrayBuffer>[]>
  /** Opens a sealed value. Throws when it was sealed for another identity or organization, or was changed. */
  open(tx: Tx, organizationId: string, identity: string, sealed: Uint8Array): Promise<string>
  /**
   * A keyed MAC of a value, 32 hex digits: alike for equal values of one organization, unrelated between organizations, and the
   * same after keys were rotated.
   */
  fingerprint(tx: Tx, organizationId: string, value: string): Promise<string>
  /** The fingerprints of many values, in order; the key is read once. */
  fingerprintAll(tx: Tx, organizationId: string, values: readonly string[]): Promise<string[]>
  /** Gives an organization a new data key, which seals from now on. Gives its version. */
  rotateDataKey(tx: Tx, organizationId: string): Promise<number>
}

const format = 1
const headerBytes = 5
/** So long another process may go on sealing with the former data key after a rotation. */
const newestForMs = 60_000
const fingerprintBytes = 16

/** The version of the data key that sealed a value, as SQL over the sealed column. */
export const dataKeyVersion = (column: ReturnType<typeof sql>) =>
  sql`('x' || encode(substring(${column} from 2 for 4), 'hex'))::bit(32)::int`

/** Loads the master keys, checks them against the database, and gives the keyring. Throws MasterKeyError. */
export async function openKeyring(db: Db, settings: MasterKeySettings): Promise<Keyring> {
  let masters = await loadMasterKeys(db, settings)
  /** As key objects: a cipher is made four times as fast from one as from bytes (3.5 against 14 µs). */
  const dataKeys = new Map<string, KeyObject>()
  const newest = new Map<string, { version: number; until: number }>()
  const fingerprintKeys = new Map<string, KeyObject>()

  /** A master key that was added while this process runs is read then. */
  const unwrapped = async (key: WrappedKey): Promise<KeyObject> => {
    if (!masters.has(key.masterVersion)) masters = await loadMasterKeys(db, settings)
    return createSecretKey(unwrap(masters, key))
  }
  /** A row that this very transaction made may still be rolled back: such a key is used, and not remembered. */
  const keyRow = (tx: Tx, organizationId: string, version: number | null) =>
    row<WrappedKey & { isOwn: boolean | null }>(
      tx,
      sql`select organization_id, version, master_version, wrapped, xmin = pg_current_xact_id_if_assigned()::xid as is_own
          from organization_key where organization_id = ${organizationId}::uuid and (${version}::int is null or version = ${version})
          order by version desc limit 1`,
    )
  const remember = async (found: WrappedKey & { isOwn: boolean | null }): Promise<KeyObject> => {
    const key = await unwrapped(found)
    if (!found.isOwn) dataKeys.set(`${found.organizationId}:${found.version}`, key)
    return key
  }
  const dataKey = async (tx: Tx, organizationId: string, version: number): Promise<KeyObject | null> => {
    const found = await keyRow(tx, organizationId, version)
    return found && remember(found)
  }
  const addDataKey = (tx: Tx, organizationId: string, version: number): Promise<number> => {
    const { masterVersion, wrapped } = wrap(masters, organizationId, version, randomBytes(32))
    return run(
      tx,
      sql`insert into organization_key (id, organization_id, version, master_version, wrapped)
          values (${newId()}::uuid, ${organizationId}::uuid, ${version}, ${masterVersion}, ${wrapped}) on conflict do nothing`,
    )
  }

  const sealingKey = async (tx: Tx, organizationId: string): Promise<{ version: number; key: KeyObject }> => {
    const known = newest.get(organizationId)
    const cached = known && known.until > performance.now() ? dataKeys.get(`${organizationId}:${known.version}`) : undefined
    if (known && cached) return { version: known.version, key: cached }
    let found = await keyRow(tx, organizationId, null)
    if (!found) {
      await addDataKey(tx, organizationId, 1)
      found = (await keyRow(tx, organizationId, null))!
    }
    const key = await remember(found)
    if (!found.isOwn) newest.set(organizationId, { version: found.version, until: performance.now() + newestForMs })
    return { version: found.version, key }
  }

  /** Of the first data key, which stays: fingerprints outlive rotations. */
  const fingerprintKey = async (tx: Tx, organizationId: string): Promise<KeyObject> => {
    const known = fingerprintKeys.get(organizationId)
    if (known) return known
    let found = await keyRow(tx, organizationId, 1)
    if (!found) {
      await addDataKey(tx, organizationId, 1)
      found = (await keyRow(tx, organizationId, 1))!
    }
    const derived = createSecretKey(
      Buffer.from(hkdfSync('sha256', await remember(found), '', `quayside fingerprint ${organizationId}`, 32)),
    )
    if (!found.isOwn) fingerprintKeys.set(organizationId, derived)
    return derived
  }

  const sealAll: Keyring['sealAll'] = async (tx, organizationId, values) => {
    if (values.length === 0) return []
    const { version, key } = await sealingKey(tx, organizationId)
    const header = Buffer.alloc(headerBytes)
    header.writeUInt8(format, 0)
    header.writeUInt32BE(version, 1)
    return values.map(({ identity, plain }) => joined(header, encrypt(key, Buffer.from(plain, 'utf8'), `${organizationId}:${identity}`)))
  }

  const fingerprintAll: Keyring['fingerprintAll'] = async (tx, organizationId, values) => {
    if (values.length === 0) return []
    const key = await fingerprintKey(tx, organizationId)
    return values.map((value) => createHmac('sha256', key).update(value, 'utf8').digest().subarray(0, fingerprintBytes).toString('hex'))
  }

  return {
    async seal(tx, organizationId, identity, plain) {
      return (await sealAll(tx, organizationId, [{ identity, plain }]))[0]!
    },
    sealAll,
    async open(tx, organizationId, identity, sealed) {
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength)
      if (bytes.length < headerBytes + ivBytes + tagBytes || bytes.readUInt8(0) !== format)
        throw new Error('a sealed value has an unknown format')
      const version = bytes.readUInt32BE(1)
      const key =
        version <= 0x7fffffff ? (dataKeys.get(`${organizationId}:${version}`) ?? (await dataKey(tx, organizationId, version))) : null
      if (!key) throw new Error('a sealed value names a data key that does not exist')
      return decrypt(key, bytes.subarray(headerBytes), `${organizationId}:${identity}`).toString('utf8')
    },
    async fingerprint(tx, organizationId, value) {
      return (await fingerprintAll(tx, organizationId, [value]))[0]!
    },
    fingerprintAll,
    async rotateDataKey(tx, organizationId) {
      const found = await keyRow(tx, organizationId, null)
      const version = (found?.version ?? 0) + 1
      await addDataKey(tx, organizationId, version)
      newest.delete(organizationId)
      return version
    },
  }
}
