/** What happens to a claimed delivery: it is sent, handed to the Svix server, put off, or ended without an attempt. */
import { type End, setAsideText } from '../../../platform/claim.ts'
import { outageOf } from '../../../platform/db/index.ts'
import { createFailureLog } from '../../../platform/failure-log.ts'
import { perApp } from '../../../platform/per-app.ts'
import type { App } from '../../../platform/work.ts'
import { keepShape, releaseDelivery } from '../delivery/index.ts'
import { type Recipient, retryScheduleOf, type UnreadableRecipient } from '../endpoint/index.ts'
import { dispatch } from './dispatch.ts'
import { Fault, judgeFault } from './fault.ts'
import type { LoadedDelivery } from './load.ts'
import { recordLostAttempt } from './lost.ts'
import { send } from './send.ts'
import { claimOf, close, exhaustionOf, settle } from './settle.ts'
import { isPlain, maxBodyBytes, shapeBody } from './shape.ts'

/** Resolves to `pending` if the delivery is to be claimed again. */
export async function deliver(app: App, claimed: LoadedDelivery, signal: AbortSignal): Promise<End> {
  const delivery = await withLostAttempt(app, claimed)
  const recipient = delivery && (await openRecipient(app, delivery))
  if (!recipient) return 'done'
  if (delivery.wasInDoubt)
    return close(app, delivery, 'UNKNOWN', 'An attempt was interrupted. The message may have arrived and is not sent again.')
  if (delivery.message.body === null) return close(app, delivery, 'CANCELLED', 'The payload was removed before the message was delivered.')
  if ('unreadable' in recipient) {
    const fault = new Fault('The signing keys or headers of the endpoint cannot be decrypted.', { cause: recipient.unreadable })
    return afterFault(app, delivery, recipient, fault)
  }
  try {
    const text = delivery.body ?? (await makeBody(app, delivery, recipient, delivery.message.body))
    if (text === null || signal.aborted) return putBack(app, delivery, true)
    if (Buffer.byteLength(text) > maxBodyBytes) {
      return close(app, delivery, 'EXHAUSTED', `The request body exceeds ${maxBodyBytes} bytes.`, exhaustionOf(delivery, recipient))
    }
    const isSvix = app.settings.WEBHOOK_ENGINE === 'svix'
    const end = await (isSvix ? dispatch(app, delivery, recipient, text) : send(app, delivery, recipient, text, signal))
    faultsOf(app).succeeded(recipient.id)
    return end
  } catch (error) {
    if (signal.aborted) return putBack(app, delivery, !delivery.progress.sent)
    if (outageOf(error) === 'database') throw error
    return afterFault(app, delivery, recipient, error)
  }
}

async function putBack(app: App, delivery: LoadedDelivery, untried: boolean): Promise<End> {
  await releaseDelivery(app, delivery, untried)
  return 'pending'
}

/** Ends a delivery that may be what ends processes, without sending it. */
export async function setAsideDelivery(app: App, claimed: LoadedDelivery): Promise<void> {
  const delivery = await withLostAttempt(app, claimed)
  const recipient = delivery && (await openRecipient(app, delivery))
  if (recipient) await close(app, delivery, 'EXHAUSTED', setAsideText, exhaustionOf(delivery, recipient))
}

/** Records the attempt that a former claimant left without an outcome, if there is one. Null if the claim has been lost. */
const withLostAttempt = async (app: App, delivery: LoadedDelivery): Promise<LoadedDelivery | null> =>
  delivery.lostBy === null || delivery.recipient === null ? delivery : await recordLostAttempt(app, delivery, delivery.recipient.url)

/** The endpoint to send to. Ends the delivery and returns null if the endpoint is deleted or disabled. */
async function openRecipient(app: App, delivery: LoadedDelivery): Promise<Recipient | UnreadableRecipient | null> {
  const { recipient } = delivery
  if (recipient === null) await close(app, delivery, 'CANCELLED', 'The endpoint was deleted.')
  else if (recipient.disabledAt) await close(app, delivery, 'SKIPPED', 'The endpoint was disabled.')
  else return recipient
  return null
}

/** The text to send. If it is not the message's own body, it is stored first. Null if the delivery is no longer ours to send. */
async function makeBody(app: App, delivery: LoadedDelivery, recipient: Recipient, body: string): Promise<string | null> {
  if (isPlain(delivery.message, recipient)) return body
  const shaped = await shapeBody(app, delivery.message, recipient, body)
  if (Buffer.byteLength(shaped) > maxBodyBytes) return shaped
  return (await keepShape(app, delivery, shaped)) ? shaped : null
}

const faultsOf = perApp((app) =>
  createFailureLog(app, {
    failed: 'webhooks cannot be sent to an endpoint because of a local failure',
    recovered: 'webhooks are sent to an endpoint again',
  }),
)

/**
 * Puts the delivery off, or ends it when faults have lasted longer than the retry schedule. Of the schedules of endpoint and
 * installation the longer one applies: an endpoint that wants few attempts does not want to suffer from our faults.
 */
async function afterFault(app: App, delivery: LoadedDelivery, recipient: Recipient | UnreadableRecipient, error: unknown): Promise<End> {
  faultsOf(app).failed(error, { endpoint: recipient.id }, recipient.id)
  const installation = app.settings.WEBHOOK_RETRY_SCHEDULE_MS
  const total = (schedule: readonly number[]) => schedule.reduce((sum, each) => sum + each, 0)
  const { reason, retryInMs } = judgeFault(error, {
    now: delivery.message.now,
    faultSince: delivery.faultSince,
    giveUpAfterMs: Math.max(total(installation), total(retryScheduleOf(recipient, installation))),
  })
  if (retryInMs === null) return close(app, delivery, 'EXHAUSTED', reason, exhaustionOf(delivery, recipient))
  const settlement = { ...claimOf(delivery), status: 'PENDING' as const, reason, retryInMs }
  return (await settle(app, { settlement, attempt: null, lane: null, exhausted: null })).end
}
