/**
 * Handles queue items whose processes crashed. An item that several processes in a row held when they ended may have caused the crashes: it
 * is tried once more, without other such items, so that they aren't blamed for it, and is then set aside.
 */
import { type Claimed, defer, lossesOf, maxLosses, type Queue, recordSurvival, recordSurvivalOfAll } from '../platform/claim.ts'
import { reportFailure } from '../platform/failure-log.ts'
import type { App } from '../platform/work.ts'

export type LossWatch<Item> = {
  /** What to do with a claimed item. `later` if another item is on its last chance. */
  judge(item: Item): 'work' | 'setAside' | 'later'
  /** Releases an item that `judge` deferred. */
  defer(item: Item): Promise<unknown>
  /** The work on an item has ended, successfully or not, and this process survived. `recorded`: its row shows that already. */
  ended(item: Item, recorded: boolean): void
  /** Records it in the rows that don't show it yet. Throws during a database outage. */
  recordEnded(): Promise<void>
  /** This process is stopping: if it is killed now, the items in progress are not to blame. */
  recordStop(): Promise<void>
}

/** Delay of an item while another one is on its last chance. */
const deferMs = 1_000

export function watchLosses<Item extends Claimed>(app: App, queue: Queue<Item>, worker: string): LossWatch<Item> {
  /** At most as many as there are slots, since nothing is claimed during a database outage. */
  const unrecorded = new Set<Item>()
  let onLastChance: Item | null = null
  return {
    judge(item) {
      const losses = lossesOf(item)
      if (losses >= maxLosses) return 'setAside'
      if (losses < maxLosses - 1) return 'work'
      if (onLastChance) return 'later'
      onLastChance = item
      return 'work'
    },
    defer: (item) => defer(app.db, queue.rows, item, deferMs),
    ended(item, recorded) {
      if (onLastChance === item) onLastChance = null
      if (!recorded) unrecorded.add(item)
    },
    async recordEnded() {
      for (const item of unrecorded) {
        await recordSurvival(app.db, queue.rows, item)
        unrecorded.delete(item)
      }
    },
    async recordStop() {
      try {
        await recordSurvivalOfAll(app.db, queue.rows.table, worker)
      } catch (error) {
        reportFailure(app, error, 'the items in progress could not be recorded before the stop', { queue: queue.name }, 'warn')
      }
    },
  }
}
