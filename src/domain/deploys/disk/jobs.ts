/** Measures disks, and removes the data of deleted ones. */
import type { Disk } from '../../../generated/prisma/client.ts'
import { systemCaller } from '../../../platform/access.ts'
import type { Chore } from '../../../platform/claim.ts'
import { row, rows, run, sql } from '../../../platform/db/index.ts'
import { PortError } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { perApp } from '../../../platform/per-app.ts'
import { type App, transact } from '../../../platform/work.ts'
import { diskEvents, eventOf } from './events.ts'
import { diskStore } from './ports.ts'

/** A measurement may take this part of the time. */
const share = 20

export const measureDisks: Chore = {
  name: 'measure disks',
  emits: [diskEvents.overLimit],
  topic: null,
  everyMs: 60_000,
  dueInMs: (app) => app.settings.DISK_MEASURE_MS,
  async run(app, signal) {
    // The time is set first, so that no other process measures the same disks, however long it takes.
    const due = await rows<Pick<Disk, 'id' | 'organizationId'>>(
      app.db,
      sql`update disk set measured_at = app_now()
          where measured_at is null
             or measured_at < app_now() - greatest(${app.settings.DISK_MEASURE_MS}::float8 / 2, measure_ms * ${share}) * interval '1 millisecond'
          returning id, organization_id`,
    )
    if (due.length === 0) return
    const startedAt = app.clock.elapsedMs()
    const used = await diskStore.use(app).measureDisks(
      due.map(({ id }) => id),
      signal,
    )
    const tookMs = app.clock.elapsedMs() - startedAt
    for (const { id, organizationId } of due) await note(app, { id, organizationId }, used.get(id) ?? 0, tookMs)
  },
}

/** Records a measurement, and reports a disk that has exceeded its limit. */
const note = (app: App, { id, organizationId }: Pick<Disk, 'id' | 'organizationId'>, usedBytes: number, tookMs: number) =>
  transact(app, systemCaller(organizationId), { emits: [diskEvents.overLimit] }, async (work) => {
    const before = await row<{ overLimit: boolean }>(work.tx, sql`select over_limit from disk where id = ${id}::uuid for update`)
    if (!before) return
    const disk = (await row<Disk>(
      work.tx,
      sql`update disk set used_bytes = ${usedBytes}, measure_ms = ${tookMs}, over_limit = ${usedBytes} > size_bytes
          where id = ${id}::uuid returning *`,
    ))!
    if (disk.overLimit && !before.overLimit) await publish(work, diskEvents.overLimit, eventOf(disk))
  })

/** Whether a disk could not be removed yet. Can be lost without harm. */
const memoryOf = perApp(() => ({ isWaiting: false }))

/** How long a removal is repeated: an instance that was starting when the disk was deleted may have created it again. */
const repeatedForMs = 600_000

export const removeDeletedDisks: Chore = {
  name: 'remove deleted disks',
  topic: 'disks',
  everyMs: 60_000,
  dueInMs: (app) => (memoryOf(app).isWaiting ? 1_000 : null),
  async run(app, signal) {
    memoryOf(app).isWaiting = false
    const removals = await rows<{ diskId: string }>(app.db, sql`select disk_id from disk_removal order by created_at`)
    for (const { diskId } of removals) {
      if (signal.aborted) return
      try {
        await diskStore.use(app).removeDisk(diskId)
      } catch (error) {
        // Its instance is being stopped.
        if (!(error instanceof PortError && error.code === 'DISK_IN_USE')) throw error
        memoryOf(app).isWaiting = true
        continue
      }
      await run(
        app.db,
        sql`delete from disk_removal where disk_id = ${diskId}::uuid and created_at < app_now() - ${repeatedForMs} * interval '1 millisecond'`,
      )
    }
  },
}
