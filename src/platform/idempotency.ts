/**
 * Idempotency keys, unique per organization, principal and operation, and valid for 24 hours. A key is stored in the transaction of its effect, so that
 * both exist or neither does.
 */
import { deserialize, serialize } from 'node:v8'
import type { Chore } from './claim.ts'
import { defer, row, run, sql } from './db/index.ts'
import { tryLock } from './db/lock.ts'
import { errors } from './errors.ts'
import type { Work } from './work.ts'

export type ClaimedKey = {
  /** The stored answer; null if the key is new. */
  answer: object | null
  store(answer: object): void
}

/**
 * Claims a key within the transaction. Throws `idempotency_in_progress` while another request uses it, and `idempotency_key_reused` if it
 * was used with different input.
 */
export async function claimIdempotencyKey(
  work: Work,
  principal: string,
  operation: string,
  key: string,
  input: object,
): Promise<ClaimedKey> {
  const { organizationId } = work.caller
  if (key.length > 255) throw errors.invalid_input({ field: 'idempotencyKey', text: 'idempotencyKey: must be at most 255 characters' })
  if (!(await tryLock(work.tx, `${organizationId}\n${principal}\n${operation}\n${key}`)))
    throw errors.idempotency_in_progress({ field: 'idempotencyKey' })
  // A keyed MAC, since the input may contain a secret that could be guessed from a plain hash. Computed after taking the lock, because the
  // first use of an organization's data key creates it, which makes concurrent requests wait for this commit.
  const inputMac = await work.app.keyring.fingerprint(work.tx, organizationId, canonicalJson({ ...input, idempotencyKey: undefined }))
  const inputHash = new Uint8Array(Buffer.from(inputMac, 'hex'))
  const stored = await row<{ inputHash: Uint8Array; answer: Uint8Array }>(
    work.tx,
    sql`select input_hash, answer from idempotency
        where organization_id = ${organizationId}::uuid and principal = ${principal} and operation = ${operation} and key = ${key} and expires_at > app_now()`,
  )
  if (stored && Buffer.compare(stored.inputHash, inputHash) !== 0) throw errors.idempotency_key_reused({ field: 'idempotencyKey' })
  return {
    answer: stored ? (deserialize(stored.answer) as object) : null,
    store(answer) {
      defer(
        work.tx,
        sql`insert into idempotency (organization_id, principal, operation, key, input_hash, answer, expires_at)
            values (${organizationId}::uuid, ${principal}, ${operation}, ${key}, ${inputHash}, ${new Uint8Array(serialize(answer))}, app_now() + interval '24 hours')
            on conflict (organization_id, principal, operation, key) do update
            set input_hash = excluded.input_hash, answer = excluded.answer, created_at = app_now(), expires_at = excluded.expires_at`,
      )
    },
  }
}

/** Removes expired keys. */
export const expireIdempotencyKeys: Chore = {
  name: 'expire idempotency keys',
  topic: null,
  everyMs: 10 * 60_000,
  async run(app) {
    await run(app.db, sql`delete from idempotency where expires_at <= app_now()`)
  },
}

/** JSON with sorted keys, so that equal inputs have equal hashes. */
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (value === null || typeof value !== 'object' || value instanceof Date) return JSON.stringify(value) ?? 'null'
  const entries = Object.entries(value).filter(([, item]) => item !== undefined)
  return `{${entries
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`)
    .join(',')}}`
}
