/**
 * Idempotency keys, unique per organization, principal and operation, and valid for 24 hours. A key is stored in the transaction of its effect, so that
 * both exist or neither does.
 */
import { deserialize, serialize } from 'node:v8'
import { type Caller, principalOf } from './access.ts'
import type { Chore } from './claim.ts'
import { defer, row, run, sql } from './db/index.ts'
import { tryLock } from './db/lock.ts'
import { errors } from './errors.ts'
import { reportFailure } from './failure-log.ts'
import { type App, transact, type Work } from './work.ts'

type Requester = { app: App; caller: Caller; requestId: string }

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

/**
 * What is stored for an effect on another system, which can't be in one transaction with its key. Its answer is what that system keeps, so it is
 * sealed. It expires long before it would have to be sealed again: former data keys are kept.
 */
type EffectRecord =
  /** In progress until then, by the clock of the process that began it. Afterwards its outcome is unknown: that process has ended. */
  | { state: 'begun'; until: number }
  | { state: 'done'; sealed: Uint8Array }
  | { state: 'unknown' }
  /** It was done, and the answer is too large to be kept. */
  | { state: 'answered' }

export type Effect<Answer extends object> = {
  operation: string
  key: string
  /** What a repetition must be equal to. */
  input: object
  /** No effect takes longer. */
  maxMs: number
  run(): Promise<Answer>
  /** Whether an effect that failed with this error may have happened all the same. */
  isUncertain(error: unknown): boolean
}

const maxAnswerBytes = 256 * 1024

/**
 * Has an effect on another system once for an idempotency key. A repetition returns the answer of the first request. It throws
 * `idempotency_in_progress` while that one is in progress, and `outcome_unknown` if nobody knows whether it had its effect; a failure that is
 * certain frees the key.
 */
export async function effectOnce<Answer extends object>(request: Requester, effect: Effect<Answer>): Promise<Answer> {
  const { app, caller } = request
  const { operation, key, input, maxMs } = effect
  const principal = principalOf(caller)
  const known = await transact(app, caller, { requestId: request.requestId }, async (work) => {
    const claimed = await claimIdempotencyKey(work, principal, operation, key, input)
    if (!claimed.answer) claimed.store({ state: 'begun', until: app.clock.now().getTime() + maxMs } satisfies EffectRecord)
    return claimed.answer as EffectRecord | null
  })
  const seal = { organizationId: caller.organizationId, identity: `idempotency:${principal}\n${operation}\n${key}` }
  if (known) return answerOf(app, known, seal)
  const where = sql`organization_id = ${caller.organizationId}::uuid and principal = ${principal} and operation = ${operation} and key = ${key}`
  const record = async (outcome: EffectRecord | Promise<EffectRecord>) => {
    try {
      const bytes = new Uint8Array(serialize(await outcome))
      await run(app.db, sql`update idempotency set answer = ${bytes} where ${where}`)
    } catch (error) {
      // It stays `begun`, and so becomes one whose outcome is unknown.
      reportFailure(app, error, 'the outcome of a call with an idempotency key could not be recorded', { operation })
    }
  }
  let answer: Answer
  try {
    answer = await effect.run()
  } catch (error) {
    if (effect.isUncertain(error)) await record({ state: 'unknown' })
    else
      await run(app.db, sql`delete from idempotency where ${where}`).catch((failure: unknown) =>
        reportFailure(app, failure, 'an idempotency key could not be freed', { operation }),
      )
    throw error
  }
  const plain = serialize(answer)
  await record(plain.byteLength > maxAnswerBytes ? { state: 'answered' } : sealedAnswer(app, plain, seal))
  return answer
}

type Seal = { organizationId: string; identity: string }

async function sealedAnswer({ keyring, db }: App, plain: Buffer, { organizationId, identity }: Seal): Promise<EffectRecord> {
  return { state: 'done', sealed: await keyring.seal(db, organizationId, identity, plain.toString('base64')) }
}

async function answerOf<Answer extends object>(app: App, known: EffectRecord, { organizationId, identity }: Seal): Promise<Answer> {
  if (known.state === 'done')
    return deserialize(Buffer.from(await app.keyring.open(app.db, organizationId, identity, known.sealed), 'base64')) as Answer
  if (known.state === 'begun' && app.clock.now().getTime() < known.until) throw errors.idempotency_in_progress({ field: 'idempotencyKey' })
  const text = 'The first request with this idempotency key had its effect. Its answer is too large to be returned again.'
  throw errors.outcome_unknown({ field: 'idempotencyKey', ...(known.state === 'answered' ? { text } : {}) })
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
