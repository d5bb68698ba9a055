/** Verification of the audit log: recomputes the hash of every entry, in batches, so that its memory is bounded. */
import { z } from 'zod'
import { defineCommand, demandOrganization } from '../../../platform/command.ts'
import { row, sql, type Tx } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { chainOf, entriesAfter, follows, type Place } from './chain.ts'

const batch = 500
/** The answer must be ready before the request times out, of which this is a share. */
const timeShare = 0.8

const positionSchema = z
  .string()
  .regex(/^\d{1,18}$/, { error: 'must be a position, such as "1"' })
  .transform(BigInt)

export type Verification = {
  valid: boolean
  /** Number of entries whose hash was recomputed. */
  checked: number
  /** First position that is not what was written; null if there is none. */
  brokenAt: bigint | null
  /** First and last position of the verified part; null if it is empty. */
  from: bigint | null
  to: bigint | null
}

export const verifyAuditLog = defineCommand({
  name: 'verifyAuditLog',
  description:
    'Verifies that no entry of the audit log was changed, removed, inserted or moved since it was written, by recomputing the chain of hashes. Entries that were removed because of their age do not break the chain. Fails with `timeout` if the log is too long for one request; the message says which part to verify next.',
  permission: 'view:audit_logs',
  ids: {},
  targetType: null,
  input: z
    .object({ from: positionSchema.nullish(), to: positionSchema.nullish() })
    .refine(({ from, to }) => !from || !to || from <= to, { error: 'must not be before from', path: ['to'] }),
  emits: [],
  async run({ app, tx, caller }, { from, to }): Promise<Verification> {
    demandOrganization(caller, 'read the audit log')
    const until = performance.now() + app.settings.REQUEST_TIMEOUT_MS * timeShare
    const result = await verifyChain(tx, caller.organizationId, { from: from ?? 1n, to: to ?? null }, () => performance.now() > until)
    if (!result.valid) {
      app.log.error({ organizationId: caller.organizationId, position: String(result.brokenAt) }, 'the audit log is not intact')
    }
    return result
  },
  audited: (_input, { valid, checked, brokenAt }) => ({ valid, checked, brokenAt: brokenAt === null ? null : String(brokenAt) }),
})

type Range = { from: bigint; to: bigint | null }

/** Verifies the entries of a range. Throws `timeout`, with the position to continue from, as soon as `isOver`. */
export async function verifyChain(tx: Tx, organizationId: string, range: Range, isOver: () => boolean): Promise<Verification> {
  const { position: newest, hash: newestHash, ...removed } = await chainOf(tx, organizationId)
  const isToEnd = range.to === null || range.to >= newest
  const end = isToEnd ? newest : range.to!
  const start = await placeBefore(tx, organizationId, range.from, { position: removed.removedPosition, hash: removed.removedHash })
  let checked = 0
  const result = (brokenAt: bigint | null): Verification => {
    const isEmpty = start.position >= end && brokenAt === null
    const bounds = isEmpty ? { from: null, to: null } : { from: start.position + 1n, to: end }
    return { valid: brokenAt === null, checked, brokenAt, ...bounds }
  }
  let place = start
  while (place.position < end) {
    if (isOver()) throw tooLong(place)
    const entries = await entriesAfter(tx, organizationId, place.position, batch)
    const before = place
    for (const entry of entries) {
      if (place.position === end) break
      if (!follows(place, entry)) {
        const moved = await placeAfterRemoval(tx, organizationId, place)
        if (!moved) return result(place.position + 1n)
        place = moved
        break
      }
      checked++
      place = { position: entry.position, hash: entry.hash }
    }
    if (place !== before) continue
    const moved = await placeAfterRemoval(tx, organizationId, place)
    if (!moved) return result(place.position + 1n)
    place = moved
  }
  if (!isToEnd) return result(null)
  if (place.position === newest && Buffer.compare(place.hash, newestHash) !== 0) return result(newest)
  return result(await firstBeyond(tx, organizationId))
}

/** The place before a position. The hash of an entry there is taken as it is: it belongs to the part before. */
async function placeBefore(tx: Tx, organizationId: string, position: bigint, removed: Place): Promise<Place> {
  const former = position - 1n
  if (former <= removed.position) return removed
  const found = await row<{ hash: Uint8Array }>(
    tx,
    sql`select hash from audit_entry where organization_id = ${organizationId}::uuid and position = ${former}`,
  )
  return { position: former, hash: found?.hash ?? new Uint8Array() }
}

/** Where to continue if entries after a place have been removed because of their age in the meantime; null if not. */
async function placeAfterRemoval(tx: Tx, organizationId: string, { position }: Place): Promise<Place | null> {
  const { removedPosition, removedHash } = await chainOf(tx, organizationId)
  return removedPosition > position ? { position: removedPosition, hash: removedHash } : null
}

/** The first entry whose position is higher than that of the newest one of the chain, which only somebody else can have written. */
async function firstBeyond(tx: Tx, organizationId: string): Promise<bigint | null> {
  const found = await row<{ position: bigint }>(
    tx,
    sql`select a.position from audit_entry a left join audit_chain c on c.organization_id = a.organization_id
        where a.organization_id = ${organizationId}::uuid and a.position > coalesce(c.position, 0) order by a.position limit 1`,
  )
  return found?.position ?? null
}

const tooLong = ({ position }: Place) => {
  const next = String(position + 1n)
  return errors.timeout({
    text: `The audit log is too long to be verified in one request. It is intact up to position ${position}. Continue with from: "${next}".`,
    details: { intactTo: String(position), continueFrom: next },
  })
}
