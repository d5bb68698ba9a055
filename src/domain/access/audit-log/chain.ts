/** Reads stretches of an organization's audit chain and checks them. See platform/audit-chain.ts for the format. */
import { type AuditLink, auditHash, chainStart, linkColumns } from '../../../platform/audit-chain.ts'
import { row, rows, sql, type Tx } from '../../../platform/db/index.ts'

export type Chain = {
  /** Position and hash of the newest entry. */
  position: bigint
  hash: Uint8Array
  /** Those of the last entry that has been removed because of its age; 0 and the start of the chain if there is none. */
  removedPosition: bigint
  removedHash: Uint8Array
}

export type ChainEntry = AuditLink & { position: bigint; hash: Uint8Array | null }

const emptyChain: Chain = { position: 0n, hash: chainStart, removedPosition: 0n, removedHash: chainStart }

export async function chainOf(tx: Tx, organizationId: string): Promise<Chain> {
  const found = await row<Omit<Chain, 'removedHash'> & { removedHash: Uint8Array | null }>(
    tx,
    sql`select position, hash, removed_position, removed_hash from audit_chain where organization_id = ${organizationId}::uuid`,
  )
  return found ? { ...found, removedHash: found.removedHash ?? chainStart } : emptyChain
}

/** The entries after a position, in order. */
export const entriesAfter = (tx: Tx, organizationId: string, position: bigint, limit: number): Promise<ChainEntry[]> =>
  rows<ChainEntry>(
    tx,
    sql`select ${linkColumns}, a.position, a.hash from audit_entry a
        where a.organization_id = ${organizationId}::uuid and a.position > ${position} order by a.position limit ${limit}`,
  )

/** A place in the chain: everything up to this position is intact, and the entry at it has this hash. */
export type Place = { position: bigint; hash: Uint8Array }

/** Whether an entry is the unchanged successor of a place. */
export const follows = (place: Place, entry: ChainEntry): entry is ChainEntry & { hash: Uint8Array } =>
  entry.position === place.position + 1n && entry.hash !== null && auditHash(place.hash, entry.position, entry).equals(entry.hash)
