import { newId } from '../../../platform/id.ts'
import type { App } from '../../../platform/work.ts'
import { countLostTry } from '../delivery/index.ts'
import type { Delivery } from './jobs.ts'
import { attemptsTopic, insertAttempts } from './settle.ts'

/**
 * Lists the try that a former claimant left without an outcome, and gives the delivery as it is then; null when the claim is another's.
 * The try is no step of the schedule. What is told of it is what is known: when it was due, and who had it.
 */
export async function listLostTry(app: App, delivery: Delivery, url: string): Promise<Delivery | null> {
  const { messageId, endpointId, organizationId, trigger, nextAttemptAt, message, lostBy } = delivery
  const startedAt = nextAttemptAt && nextAttemptAt < message.now ? nextAttemptAt : message.now
  const number = await app.db.transaction(async (tx) => {
    const counted = await countLostTry(tx, delivery)
    if (counted === null) return null
    const attempt = {
      id: newId(),
      organizationId,
      messageId,
      endpointId,
      number: counted,
      trigger,
      url,
      dueAt: null,
      startedAt,
      durationMs: message.now.getTime() - startedAt.getTime(),
      requestHeaders: null,
      responseStatus: null,
      errorClass: 'UNKNOWN' as const,
      responseHeaders: null,
      responseBody: null,
      worker: lostBy,
      nextAttemptAt: delivery.wasInDoubt ? null : nextAttemptAt,
    }
    await insertAttempts(tx, [attempt])
    return counted
  })
  if (number === null) return null
  app.wake.notify(attemptsTopic)
  return { ...delivery, attemptCount: number, scheduleBase: delivery.scheduleBase + 1, lostBy: null }
}
