import { setMaxListeners } from 'node:events'
import type { Claimed, End, Queue } from '../platform/claim.ts'
import { outageOf } from '../platform/db/index.ts'
import { createFailureLog, type FailureLog, reportFailure } from '../platform/failure-log.ts'
import { throughOutages } from '../platform/outage.ts'
import type { App } from '../platform/work.ts'
import { createRetry, createTrigger, type Loop } from './loop.ts'
import { type LossWatch, watchLosses } from './loss.ts'

/**
 * Claims as many items as there are free slots, when a slot becomes free, the topic wakes it, the next row is due, or the poll is due. Slots
 * that become free during a claim are filled in one batch by the next. While no row waits for a slot, the end of an item causes no claim.
 */
export function startQueue<Item extends Claimed>(app: App, queue: Queue<Item>, worker: string): Loop {
  const stopping = new AbortController()
  const aborting = new AbortController()
  setMaxListeners(0, aborting.signal)
  const trigger = createTrigger(app, queue.topic)
  const losses = watchLosses(app, queue, worker)
  const retry = createRetry(
    app,
    { queue: queue.name },
    { failed: 'items of a queue could not be claimed', recovered: 'items of a queue can be claimed again' },
  )
  const renewals = createFailureLog(
    app,
    { failed: 'the lease of a queue item could not be renewed', recovered: 'leases of queue items can be renewed again' },
    'warn',
  )
  const running = new Map<Item, Promise<void>>()
  let ends = 0
  /** Whether the loop waits for the end of an item. */
  let isEndAwaited = false

  const start = (item: Item) => {
    const run = runItem(app, queue, losses, renewals, item, aborting.signal).then((end) => {
      running.delete(item)
      ends++
      if (isEndAwaited || end === 'pending') trigger.fire()
    })
    running.set(item, run)
  }

  const ended = (async () => {
    while (!stopping.signal.aborted) {
      const free = queue.concurrency - running.size
      if (free <= 0) {
        isEndAwaited = true
        await trigger.wait(stopping.signal)
        isEndAwaited = false
        continue
      }
      try {
        await losses.recordEnded()
        const endsBefore = ends
        const { items, dueInMs, waitsForOwn } = await queue.claim(app, worker, free, [...running.keys()])
        for (const item of items) start(item)
        retry.succeeded()
        if (items.length >= free || (waitsForOwn && ends > endsBefore)) continue
        isEndAwaited = waitsForOwn
        await trigger.wait(stopping.signal, Math.min(dueInMs ?? queue.pollMs, queue.pollMs))
        isEndAwaited = false
      } catch (error) {
        await retry.waitAfter(error, stopping.signal)
      }
    }
  })()

  return {
    async stop(graceMs) {
      stopping.abort()
      const recorded = losses.recordStop()
      if (queue.abortOnStop) aborting.abort(new Error('The process is stopping.'))
      const grace = setTimeout(() => aborting.abort(new Error('The process is stopping.')), graceMs)
      await ended
      // Again, for items that were claimed meanwhile.
      const allRecorded = recorded.then(() => losses.recordStop())
      while (running.size > 0) await Promise.all(running.values())
      await allRecorded
      clearTimeout(grace)
      trigger.close()
    },
  }
}

/**
 * Works on one item while renewing its lease. Never rejects: after an error the lease expires, and the next claim continues the work; after
 * a database outage the item is released, if the queue supports that. Resolves to `pending` if its row is to be claimed again.
 */
async function runItem<Item extends Claimed>(
  app: App,
  queue: Queue<Item>,
  losses: LossWatch<Item>,
  renewals: FailureLog,
  item: Item,
  stopping: AbortSignal,
): Promise<End> {
  const verdict = losses.judge(item)
  if (verdict === 'later') {
    await defer(app, queue, losses, item)
    return 'pending'
  }
  let end: End = 'pending'
  let recorded = false
  const lease = keepLease(app, queue, renewals, item, stopping)
  try {
    end = (await (verdict === 'setAside' ? queue.setAside(app, item, lease.signal) : queue.work(app, item, lease.signal))) ?? 'done'
    recorded = !lease.signal.aborted
  } catch (error) {
    if (lease.signal.aborted)
      app.log.info({ queue: queue.name, reason: String(lease.signal.reason) }, 'processing of a queue item was aborted')
    else
      reportFailure(app, error, 'processing of a queue item failed; the item is claimed again when its lease expires', {
        queue: queue.name,
      })
    if (outageOf(error) === 'database') await release(app, queue, item, lease.signal)
  } finally {
    losses.ended(item, recorded)
    await lease.end()
  }
  return end
}

/** If this fails, the lease expires instead. */
async function defer<Item extends Claimed>(app: App, queue: Queue<Item>, losses: LossWatch<Item>, item: Item): Promise<void> {
  try {
    await losses.defer(item)
  } catch (error) {
    reportFailure(app, error, 'a queue item could not be deferred', { queue: queue.name }, 'warn')
  }
}

/** Retries until the database is available. If this fails, the lease expires instead. */
async function release<Item extends Claimed>(app: App, queue: Queue<Item>, item: Item, signal: AbortSignal): Promise<void> {
  if (!queue.release) return
  try {
    await throughOutages(app, async () => queue.release?.(app, item), signal)
    app.wake.notify(queue.topic)
  } catch (error) {
    reportFailure(app, error, 'a queue item could not be released', { queue: queue.name }, 'warn')
  }
}

/**
 * Renews the lease at a third of its duration. `signal` aborts when `stopping` does, when another process holds the lease, and when it could
 * not be renewed in time, since another process may then claim the item. Most items end before the first renewal, so there is only one
 * timer until then.
 */
function keepLease<Item extends Claimed>(
  app: App,
  queue: Queue<Item>,
  renewals: FailureLog,
  item: Item,
  stopping: AbortSignal,
): { signal: AbortSignal; end(): Promise<void> } {
  const leaseMs = app.settings.WORKER_LEASE_MS
  const holding = new AbortController()
  const stop = () => holding.abort(stopping.reason)
  if (stopping.aborted) stop()
  else stopping.addEventListener('abort', stop, { once: true })

  let validFrom = performance.now()
  let isOver = false
  let deadline: NodeJS.Timeout | undefined
  let beating = Promise.resolve()
  const lose = (reason: string) => {
    isOver = true
    holding.abort(new Error(reason))
  }
  const beat = () => {
    deadline ??= setTimeout(lose, Math.max(1, validFrom + leaseMs - performance.now()), 'The lease could not be renewed in time.')
    beating = renew().then((waitMs) => {
      if (!isOver) next = setTimeout(beat, waitMs)
    })
  }
  const renew = async (): Promise<number> => {
    const askedAt = performance.now()
    try {
      if (!(await queue.renew(app, item))) lose('The lease is held by another.')
      renewals.succeeded()
      validFrom = askedAt
      clearTimeout(deadline)
      deadline = undefined
      return leaseMs / 3
    } catch (error) {
      renewals.failed(error, { queue: queue.name })
      return leaseMs / 10
    }
  }
  let next = setTimeout(beat, leaseMs / 3)

  return {
    signal: holding.signal,
    async end() {
      isOver = true
      stopping.removeEventListener('abort', stop)
      clearTimeout(next)
      clearTimeout(deadline)
      await beating
      clearTimeout(deadline)
    },
  }
}
