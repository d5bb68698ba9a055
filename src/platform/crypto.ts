/**
 * Envelope encryption. Versioned master keys, from a file or the environment, wrap data keys. Each organization has a current data key and
 * its former ones, which are kept for old values and backups. Values are sealed with AES-256-GCM for the identity of their row, so that a
 * ciphertext that is moved to another row can't be opened.
 */
import { createHmac, createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto'
import { decrypt, encrypt, ivBytes, joined, tagBytes } from './cipher.ts'
import { type Db, row, run, sql, type Tx } from './db/index.ts'
import { newId } from './id.ts'
import { loadMasterKeys, type MasterKeySettings, unwrap, type WrappedKey, wrap } from './master-key.ts'

export { MasterKeyError, rotateMasterKey } from './master-key.ts'

/** A plaintext value and the identity to seal it for. */
export type Unsealed = { identity: string; plain: string }

export type Keyring = {
  /** Seals a value. `identity` names the row and column, for example `web_service:<id>:repository_credential`. */
  seal(tx: Tx, organizationId: string, identity: string, plain: string): Promise<Uint8Array<ArrayBuffer>>
  /** Seals several values of one organization and returns them in the same order. Reads the key once. */
  sealAll(tx: Tx, organizationId: string, values: readonly Unsealed[]): Promise<Uint8Array<ArrayBuffer>[]>
  /** Opens a sealed value. Throws if it was sealed for another identity or organization, or was modified. */
  open(tx: Tx, organizationId: string, identity: string, sealed: Uint8Array): Promise<string>
  /**
   * Keyed MAC of a value, as 32 hex digits. Equal for equal values of one organization, unrelated between organizations, and unchanged by key
   * rotations.
   */
  fingerprint(tx: Tx, organizationId: string, value: string): Promise<string>
  /** The fingerprints of several values, in the same order. Reads the key once. */
  fingerprintAll(tx: Tx, organizationId: string, values: readonly string[]): Promise<string[]>
  /** Creates a new data key, which is used for sealing from now on. Returns its version. */
  rotateDataKey(tx: Tx, organizationId: string): Promise<number>
}

const format = 1
const headerBytes = 5
/** Time for which other processes may still seal with the former data key after a rotation. */
const newestForMs = 60_000
const fingerprintBytes = 16

/** SQL expression for the version of the data key that sealed a column's value. */
export const dataKeyVersion = (column: ReturnType<typeof sql>) =>
  sql`('x' || encode(substring(${column} from 2 for 4), 'hex'))::bit(32)::int`

/** Loads the master keys and checks them against the database. Throws MasterKeyError. */
export async function openKeyring(db: Db, settings: MasterKeySettings): Promise<Keyring> {
  let masters = await loadMasterKeys(db, settings)
  /** Kept as key objects: creating a cipher from one takes 3.5 µs, from bytes 14 µs. */
  const dataKeys = new Map<string, KeyObject>()
  const newest = new Map<string, { version: number; until: number }>()
  const fingerprintKeys = new Map<string, KeyObject>()

  /** Reloads the master keys for a version that was added while this process runs. */
  const unwrapped = async (key: WrappedKey): Promise<KeyObject> => {
    if (!masters.has(key.masterVersion)) masters = await loadMasterKeys(db, settings)
    return createSecretKey(unwrap(masters, key))
  }
  /** A key that this transaction created (`isOwn`) may still be rolled back, so it is used but not cached. */
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

  /** Derived from the first data key, so that fingerprints survive rotations. */
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
