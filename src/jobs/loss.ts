/**
 * What a queue does about items whose holders ended. One that several processes in a row had in hand when they ended may be what ended
 * them: it is tried once more apart from its like, so that they aren't blamed for it, and then set aside.
 */
import { absolve, absolveAll, type Claimed, lossesOf, mostLosses, putOff, type Queue } from '../platform/claim.ts'
import { reportFailure } from '../platform/failure-log.ts'
import type { App } from '../platform/work.ts'

export type LossWatch<Item> = {
  /** Before an item is worked on: `later`, when another is on its last chance. */
  judge(item: Item): 'work' | 'setAside' | 'later'
  /** Gives back what `judge` put off. */
  putOff(item: Item): Promise<unknown>
  /** Its work has ended, well or not, and we live. `told`: its row says so already. */
  ended(item: Item, told: boolean): void
  /** Tells of those whose rows don't say so yet. Throws while the database is away. */
  absolve(): Promise<void>
  /** We were asked to stop: no end of ours from now on is the fault of what we hold. */
  standDown(): Promise<void>
}

/** How long one waits for its last chance while another has its own. */
const putOffMs = 1_000

export function watchLosses<Item extends Claimed>(app: App, queue: Queue<Item>, worker: string): LossWatch<Item> {
  /** At most as many as there are slots: while the database is away nothing is claimed. */
  const untold = new Set<Item>()
  let onLastChance: Item | null = null
  return {
    judge(item) {
      const losses = lossesOf(item)
      if (losses >= mostLosses) return 'setAside'
      if (losses < mostLosses - 1) return 'work'
      if (onLastChance) return 'later'
      onLastChance = item
      return 'work'
    },
    putOff: (item) => putOff(app.db.prisma, queue.rows, item, putOffMs),
    ended(item, told) {
      if (onLastChance === item) onLastChance = null
      if (!told) untold.add(item)
    },
    async absolve() {
      for (const item of untold) {
        await absolve(app.db.prisma, queue.rows, item)
        untold.delete(item)
      }
    },
    async standDown() {
      try {
        await absolveAll(app.db.prisma, queue.rows.table, worker)
      } catch (error) {
        reportFailure(app, error, 'the items in progress could not be recorded before the stop', { queue: queue.name }, 'warn')
      }
    },
  }
}
