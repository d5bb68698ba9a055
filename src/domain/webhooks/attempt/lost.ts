import type { App } from '../../../platform/work.ts'
import { countLostAttempt } from '../delivery/index.ts'
import type { LoadedDelivery } from './load.ts'
import { attemptOf, attemptsTopic, insertAttempts } from './record.ts'

/**
 * Records the attempt that a former claimant left without an outcome, and returns the delivery with that attempt counted; null if the
 * claim has been lost. The attempt is no step of the retry schedule. Only its due time and its worker are known.
 */
export async function recordLostAttempt(app: App, delivery: LoadedDelivery, url: string): Promise<LoadedDelivery | null> {
  const { nextAttemptAt, message, lostBy } = delivery
  const startedAt = nextAttemptAt && nextAttemptAt < message.now ? nextAttemptAt : message.now
  const number = await app.db.transaction(async (tx) => {
    const counted = await countLostAttempt(tx, delivery)
    if (counted === null) return null
    const durationMs = message.now.getTime() - startedAt.getTime()
    const attempt = attemptOf(delivery, { url, durationMs, requestHeaders: null, errorClass: 'UNKNOWN' })
    const known = { number: counted, dueAt: null, startedAt, worker: lostBy, nextAttemptAt: delivery.wasInDoubt ? null : nextAttemptAt }
    insertAttempts(tx, [{ ...attempt, ...known }])
    return counted
  })
  if (number === null) return null
  app.wake.notify(attemptsTopic)
  return { ...delivery, attemptCount: number, scheduleBase: delivery.scheduleBase + 1, lostBy: null }
}
