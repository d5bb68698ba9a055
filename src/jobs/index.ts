/**
 * Runs the queues and chores that concepts declare in their jobs.ts: a claim loop for each queue, a loop for each chore, and the sequencer.
 * This room claims, keeps and stops work; the work itself is in the domain. Any number of processes may run it on one database.
 */
import type { Chore, Queue } from '../platform/claim.ts'
import type { App } from '../platform/work.ts'
import { startChore } from './chore.ts'
import { startQueue } from './queue.ts'
import { positionRows } from './sequencer.ts'

export { startChore } from './chore.ts'

export type Jobs = {
  /**
   * Stops claiming. Running work has `graceMs` to finish before its signal aborts; for chores and for queues with `abortOnStop`, the signal
   * aborts at once. Resolves when all work has ended. May be called more than once.
   */
  stop(options: { graceMs: number }): Promise<void>
}

export type JobsOptions = {
  /** Defaults to all queues of the domain. */
  // biome-ignore lint/suspicious/noExplicitAny: queues of any item
  queues?: readonly Queue<any>[]
  /** Defaults to all chores of the domain. */
  chores?: readonly Chore[]
  /** Name of this process in leases, unique among living processes. Defaults to the App's. */
  worker?: string
}

/** Starts the loops and the sequencer. A loop survives every failure, also of the database: it waits and continues. */
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
