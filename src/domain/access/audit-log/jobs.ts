import type { Chore } from '../../../platform/claim.ts'
import { rows, run, sql } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import { chainOf, entriesAfter, follows, type Place } from './chain.ts'

const batch = 500
const organizationsPerRun = 100

/**
 * Removes entries that are older than AUDIT_RETENTION_MS, oldest first, a limited number at a time. The chain keeps position and hash of the
 * last one that was removed, so that the others stay verifiable. Entries that are not intact are kept, with everything after them, so that
 * a forgery does not disappear.
 */
export const removeOldEntries: Chore = {
  name: 'remove old audit entries',
  topic: null,
  everyMs: 10 * 60_000,
  async run(app, signal) {
    const due = await rows<{ organizationId: string }>(
      app.db,
      sql`select c.organization_id from audit_chain c join audit_entry a
            on a.organization_id = c.organization_id and a.position = c.removed_position + 1
          where a.created_at < ${cutoff(app)} order by a.created_at limit ${organizationsPerRun}`,
    )
    let removed = 0
    for (const { organizationId } of due) {
      if (signal.aborted) return
      removed += await removeOld(app, organizationId)
    }
    if (removed > 0) return 'again'
  },
}

const cutoff = (app: App) => sql`app_now() - ${app.settings.AUDIT_RETENTION_MS} * interval '1 millisecond'`

/** Removes the oldest entries of an organization, at most a batch. Returns their number. */
async function removeOld(app: App, organizationId: string): Promise<number> {
  return app.db.transaction(async (tx) => {
    const { removedPosition, removedHash } = await chainOf(tx, organizationId)
    const entries = await entriesAfter(tx, organizationId, removedPosition, batch)
    const old = await rows<{ position: bigint }>(
      tx,
      sql`select position from audit_entry where organization_id = ${organizationId}::uuid and position > ${removedPosition}
            and position <= ${removedPosition + BigInt(batch)} and created_at < ${cutoff(app)}`,
    )
    const isOld = new Set(old.map(({ position }) => position))
    let place: Place = { position: removedPosition, hash: removedHash }
    for (const entry of entries) {
      if (!isOld.has(entry.position)) break
      if (!follows(place, entry)) {
        app.log.error({ organizationId, position: String(place.position + 1n) }, 'the audit log is not intact, so old entries are kept')
        break
      }
      place = { position: entry.position, hash: entry.hash }
    }
    if (place.position === removedPosition) return 0
    // Another process may have removed the same entries by now.
    const marked = await run(
      tx,
      sql`update audit_chain set removed_position = ${place.position}, removed_hash = ${place.hash}, removed_at = app_now()
          where organization_id = ${organizationId}::uuid and removed_position = ${removedPosition}`,
    )
    if (marked === 0) return 0
    return run(tx, sql`delete from audit_entry where organization_id = ${organizationId}::uuid and position <= ${place.position}`)
  })
}
