/**
 * Master keys: loading them, checking that they belong to the database, and rewrapping data keys during a rotation. A master key wraps data
 * keys and nothing else.
 */
import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { decrypt, encrypt, joined } from './cipher.ts'
import { type Db, row, rows, run, sql, type Tx } from './db/index.ts'
import type { Settings } from './settings.ts'
import { createWhole, writeWhole } from './whole-file.ts'

/** The master keys are missing, malformed or don't belong to this database; the program must not start. */
export class MasterKeyError extends Error {
  override readonly name = 'MasterKeyError'
}

export type MasterKeys = ReadonlyMap<number, Buffer>
export type MasterKeySettings = Pick<Settings, 'MASTER_KEYS' | 'MASTER_KEY_FILE' | 'DATA_DIR'>
export type WrappedKey = { organizationId: string; version: number; masterVersion: number; wrapped: Uint8Array }

/** Path of the key file, used unless MASTER_KEYS is set. */
export const masterKeyFile = (settings: MasterKeySettings) => settings.MASTER_KEY_FILE ?? join(settings.DATA_DIR, 'master.key')

export const newestOf = (masters: MasterKeys): number => Math.max(...masters.keys())

const wrapIdentity = (organizationId: string, version: number) => `organization_key:${organizationId}:${version}`

/** Wraps a data key with the newest master key. */
export function wrap(
  masters: MasterKeys,
  organizationId: string,
  version: number,
  dataKey: Buffer,
): Omit<WrappedKey, 'wrapped'> & { wrapped: Uint8Array<ArrayBuffer> } {
  const masterVersion = newestOf(masters)
  return {
    organizationId,
    version,
    masterVersion,
    wrapped: encrypt(masters.get(masterVersion)!, dataKey, wrapIdentity(organizationId, version)),
  }
}

/** Unwraps a data key. Throws MasterKeyError if its master key isn't loaded. */
export function unwrap(masters: MasterKeys, key: WrappedKey): Buffer {
  const master = masters.get(key.masterVersion)
  if (!master)
    throw new MasterKeyError(
      `Master key version ${key.masterVersion} is required, but not loaded. Add it to MASTER_KEYS or MASTER_KEY_FILE.`,
    )
  return decrypt(master, Buffer.from(key.wrapped), wrapIdentity(key.organizationId, key.version))
}

/** Loads the master keys and checks them against the database. Creates the first key for an empty database. Throws MasterKeyError. */
export async function loadMasterKeys(db: Db, settings: MasterKeySettings): Promise<MasterKeys> {
  const checks = await rows<{ version: number; checkValue: Uint8Array }>(db, sql`select version, check_value from master_key_check`)
  const masters = await readMasterKeys(settings, checks.length === 0)
  await checkMasterKeys(db, masters, checks)
  return masters
}

async function readMasterKeys(settings: MasterKeySettings, emptyDatabase: boolean): Promise<MasterKeys> {
  if (settings.MASTER_KEYS) return parseMasterKeys(settings.MASTER_KEYS.reveal().split(','), 'MASTER_KEYS')
  const file = masterKeyFile(settings)
  try {
    return await readKeyFile(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  if (settings.MASTER_KEY_FILE || !emptyDatabase) {
    throw new MasterKeyError(
      `The master key file ${file} is missing, but the database contains values sealed with it. Restore it, or set MASTER_KEYS.`,
    )
  }
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  // Another first start may create the file at the same moment; then its key is used.
  await createWhole(file, lineOf(1))
  return readKeyFile(file)
}

const readKeyFile = async (file: string): Promise<MasterKeys> => parseMasterKeys((await readFile(file, 'utf8')).split('\n'), file)

const lineOf = (version: number) => `${version}:${randomBytes(32).toString('base64')}\n`

function parseMasterKeys(lines: string[], source: string): MasterKeys {
  const keys = new Map<number, Buffer>()
  for (const line of lines.map((text) => text.trim()).filter(Boolean)) {
    const match = /^([1-9]\d{0,8}):([A-Za-z0-9+/]{43}=)$/.exec(line)
    if (!match) throw new MasterKeyError(`${source} contains an entry that is not of the form <version>:<base64 of 32 bytes>.`)
    if (keys.has(Number(match[1]))) throw new MasterKeyError(`${source} contains version ${match[1]} more than once.`)
    keys.set(Number(match[1]), Buffer.from(match[2]!, 'base64'))
  }
  if (keys.size === 0) throw new MasterKeyError(`${source} contains no master key.`)
  return keys
}

async function checkMasterKeys(db: Db, masters: MasterKeys, checks: { version: number; checkValue: Uint8Array }[]): Promise<void> {
  const stored = new Map(checks.map((check) => [check.version, Buffer.from(check.checkValue)]))
  for (const [version, key] of masters) {
    const known = stored.get(version)
    if (known && !timingSafeEqual(known, checkValue(key, version))) {
      throw new MasterKeyError(`Master key version ${version} is not the key that this database was sealed with. Restore the original key.`)
    }
  }
  const needed = await rows<{ masterVersion: number }>(db, sql`select distinct master_version from organization_key`)
  for (const { masterVersion } of needed) {
    if (!masters.has(masterVersion))
      throw new MasterKeyError(`Master key version ${masterVersion} is in use, but not loaded. Add it to MASTER_KEYS or MASTER_KEY_FILE.`)
  }
  if (stored.size > 0 && ![...masters.keys()].some((version) => stored.has(version))) {
    throw new MasterKeyError('This database was sealed with none of the loaded master keys. Restore the original key.')
  }
  for (const [version, key] of masters) {
    if (!stored.has(version)) {
      await run(
        db,
        sql`insert into master_key_check (version, check_value) values (${version}, ${checkValue(key, version)}) on conflict do nothing`,
      )
    }
  }
}

const checkValue = (key: Buffer, version: number) =>
  joined(
    createHmac('sha256', Buffer.from(hkdfSync('sha256', key, '', 'quayside master key check', 32)))
      .update(`version ${version}`)
      .digest(),
  )

const olderThan = (version: number) =>
  sql`select organization_id, version, master_version, wrapped from organization_key where master_version <> ${version}`

/**
 * Rewraps every data key with the newest master key, one batch per transaction. Servers may run meanwhile, and an interrupted run can be
 * repeated at any time. If all data keys use the newest key already, a new version is first added to `DATA_DIR/master.key`. Keys in
 * MASTER_KEYS or MASTER_KEY_FILE belong to the operator, who must add the version. Throws MasterKeyError.
 */
export async function rotateMasterKey(
  db: Db,
  settings: MasterKeySettings,
): Promise<{ version: number; rewrapped: number; added: boolean }> {
  let masters = await loadMasterKeys(db, settings)
  const behind = await row(db, sql`${olderThan(newestOf(masters))} limit 1`)
  const added = !behind
  if (added) {
    if (settings.MASTER_KEYS || settings.MASTER_KEY_FILE) {
      const where = settings.MASTER_KEYS ? 'MASTER_KEYS' : 'MASTER_KEY_FILE'
      throw new MasterKeyError(
        `Every data key is wrapped by version ${newestOf(masters)}. Add a newer version to ${where}, restart the servers with it, then rotate.`,
      )
    }
    await addMasterKey(masterKeyFile(settings), newestOf(masters) + 1)
    masters = await loadMasterKeys(db, settings)
  }
  const version = newestOf(masters)
  for (let rewrapped = 0; ; ) {
    const done = await db.transaction((tx) => rewrapSome(tx, masters, version))
    rewrapped += done
    if (done === 0) return { version, rewrapped, added }
  }
}

const batch = 100

async function rewrapSome(tx: Tx, masters: MasterKeys, version: number): Promise<number> {
  const old = await rows<WrappedKey>(tx, sql`${olderThan(version)} order by organization_id, version limit ${batch} for update`)
  for (const key of old) {
    const { wrapped } = wrap(masters, key.organizationId, key.version, unwrap(masters, key))
    await run(
      tx,
      sql`update organization_key set master_version = ${version}, wrapped = ${wrapped}
          where organization_id = ${key.organizationId}::uuid and version = ${key.version}`,
    )
  }
  return old.length
}

/** Appends a version. It is on disk before any data key is wrapped with it. */
async function addMasterKey(file: string, version: number): Promise<void> {
  const former = await readFile(file, 'utf8')
  await writeWhole(file, `${former.endsWith('\n') ? former : `${former}\n`}${lineOf(version)}`)
}
