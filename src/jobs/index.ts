/**
 * Runs what concepts declare in their jobs.ts: a claim loop for each queue, a loop for each chore, and the sequencer. Knows how
 * work is claimed, kept and stopped; what the work is stands in the domain. Any number of processes run it on one database.
 */
import type { Chore, Queue } from '../platform/claim.ts'
import type { App } from '../platform/work.ts'
import { startChore } from './chore.ts'
import { startQueue } from './queue.ts'
import { positionRows } from './sequencer.ts'

export type Jobs = {
  /**
   * No new claims from now on. What is running has `graceMs` to end; then its signal aborts (at once for a queue with
   * `abortOnStop`, and for chores). Resolves when all of it has ended; asked again, it waits likewise.
   */
  stop(options: { graceMs: number }): Promise<void>
}

export type JobsOptions = {
  /** Default: all of the domain. */
  // biome-ignore lint/suspicious/noExplicitAny: queues of any item
  queues?: readonly Queue<any>[]
  /** Default: all of the domain. */
  chores?: readonly Chore[]
  /** Names this process in leases; no other living process may have it. Default: the App's. */
  worker?: string
}

/** Starts the loops, and the sequencer with them. No failure of a run or of the database ends a loop: it waits and goes on. */
export function startJobs(
  app: App,
  { queues = app.domain.queues, chores = app.domain.chores, worker = app.processId }: JobsOptions = {},
): Jobs {
  const loops = [
    ...queues.map((queue) => startQueue(app, queue, worker)),
    ...[positionRows, ...chores].map((chore) => startChore(app, chore)),
  ]
  return {
    async stop({ graceMs }) {
      await Promise.all(loops.map((loop) => loop.stop(graceMs)))
    },
  }
}
