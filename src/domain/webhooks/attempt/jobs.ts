import type { WebhookErrorClass } from '../../../generated/prisma/client.ts'
import { type Chore, type Queue, setAsideText } from '../../../platform/claim.ts'
import { outageOf } from '../../../platform/db/index.ts'
import { createFailureLog } from '../../../platform/failure-log.ts'
import { newId } from '../../../platform/id.ts'
import { perApp } from '../../../platform/per-app.ts'
import type { App } from '../../../platform/work.ts'
import {
  actOn,
  type ClaimedDelivery,
  claimDeliveries,
  deliveriesTopic,
  deliveryRows,
  keepShape,
  nextDeliveryInMs,
  releaseDelivery,
  renewDelivery,
} from '../delivery/index.ts'
import {
  defaultTimeoutMs,
  findRecipients,
  type OutgoingResult,
  outgoingHttp,
  type Recipient,
  retryScheduleOf,
  type UnreadableRecipient,
} from '../endpoint/index.ts'
import { readSendables, type Sendable } from '../message/index.ts'
import { dispatch } from './dispatch.ts'
import { Fault, judgeFault } from './fault.ts'
import { headersOf, maskedHeaders } from './header.ts'
import { listLostTry } from './lost.ts'
import { judge, keptText, maxReadBytes } from './model.ts'
import { expireAnswers, expireAnswersBatch } from './retention.ts'
import { type AttemptRow, type Exhaustion, settle } from './settle.ts'
import { isPlain, maxBodyBytes, shapeBody } from './shape.ts'

/** A claimed delivery with all that its request needs, read in one go for the whole claim. */
export type Delivery = ClaimedDelivery & {
  message: Sendable
  /** Null: the endpoint is gone. */
  recipient: Recipient | UnreadableRecipient | null
  /** Whether a request of this claim may have reached the other side. */
  sent: boolean
}

const slots = 160

/** Sends what is due. No transaction is open during a request; outcomes are written in batches. */
export const deliverWebhooks: Queue<Delivery> = {
  name: 'webhook deliveries',
  rows: deliveryRows,
  topic: deliveriesTopic,
  pollMs: 5_000,
  concurrency: slots,
  dueInMs: nextDeliveryInMs,
  async claim(app, worker, limit) {
    const claimed = await claimDeliveries(app, worker, limit)
    if (claimed.length === 0) return []
    const [recipients, messages] = await Promise.all([
      findRecipients(
        app,
        claimed.map((delivery) => delivery.endpointId),
      ),
      readSendables(
        app.db.prisma,
        claimed.map((delivery) => delivery.messageId),
      ),
    ])
    return claimed.flatMap((delivery) => {
      const message = messages.get(delivery.messageId)
      return message ? [{ ...delivery, message, recipient: recipients.get(delivery.endpointId) ?? null, sent: false }] : []
    })
  },
  renew: renewDelivery,
  release: (app, delivery) => releaseDelivery(app, delivery, !delivery.sent),
  async work(app, claimed, signal) {
    const delivery = await afterLostTry(app, claimed)
    const recipient = delivery && (await openRecipient(app, delivery))
    if (!recipient) return
    if (delivery.wasInDoubt) return close(app, delivery, 'UNKNOWN', 'A try was cut off; it may have arrived, and is not sent twice.')
    if (delivery.message.body === null) return close(app, delivery, 'CANCELLED', 'The payload was removed before it arrived.')
    if ('unreadable' in recipient) {
      return afterFault(
        app,
        delivery,
        recipient,
        new Fault('Its signing keys or headers can not be opened.', { cause: recipient.unreadable }),
      )
    }
    try {
      const text = delivery.body ?? (await makeBody(app, delivery, recipient, delivery.message.body))
      if (text === null || signal.aborted) return void (await releaseDelivery(app, delivery, true))
      if (Buffer.byteLength(text) > maxBodyBytes) {
        return close(app, delivery, 'EXHAUSTED', `What is to be sent is over ${maxBodyBytes} bytes.`, exhaustionOf(delivery, recipient))
      }
      if (app.settings.WEBHOOK_ENGINE === 'svix') await dispatch(app, delivery, recipient, text)
      else await send(app, delivery, recipient, text, signal, claimed)
      faultsOf(app).well(recipient.id)
    } catch (error) {
      if (signal.aborted) return void (await releaseDelivery(app, delivery, !claimed.sent))
      if (outageOf(error) === 'database') throw error
      await afterFault(app, delivery, recipient, error)
    }
  },
  async setAside(app, claimed) {
    const delivery = await afterLostTry(app, claimed)
    const recipient = delivery && (await openRecipient(app, delivery))
    if (recipient) await close(app, delivery, 'EXHAUSTED', setAsideText, exhaustionOf(delivery, recipient))
  },
}

/** Null: the claim is another's by now. */
const afterLostTry = async (app: App, delivery: Delivery): Promise<Delivery | null> =>
  delivery.lostBy === null || delivery.recipient === null ? delivery : await listLostTry(app, delivery, delivery.recipient.url)

/** Whom to send to; null when there is nobody any more, which ends the delivery. */
async function openRecipient(app: App, delivery: Delivery): Promise<Recipient | UnreadableRecipient | null> {
  const { recipient } = delivery
  if (recipient === null) await close(app, delivery, 'CANCELLED', 'The endpoint was deleted.')
  else if (recipient.disabledAt) await close(app, delivery, 'SKIPPED', 'The endpoint was disabled.')
  else return recipient
  return null
}

/** The text to send; one that isn't the message's own is kept before it is sent. Null: it isn't to be sent by us any more. */
async function makeBody(app: App, delivery: Delivery, recipient: Recipient, body: string): Promise<string | null> {
  if (isPlain(delivery.message, recipient)) return body
  const shaped = await shapeBody(app, delivery.message, recipient, body)
  if (Buffer.byteLength(shaped) > maxBodyBytes) return shaped
  return (await keepShape(app, delivery, shaped)) ? shaped : null
}

const faultsOf = perApp((app) =>
  createFailureLog(app, {
    failed: 'webhooks cannot be sent to an endpoint because of a local failure',
    goesOn: 'webhooks are sent to an endpoint again',
  }),
)

/** Of the schedules of endpoint and installation the longer one counts: an endpoint that wants few tries doesn't want few of our faults. */
async function afterFault(app: App, delivery: Delivery, recipient: Recipient | UnreadableRecipient, error: unknown): Promise<void> {
  faultsOf(app).failed(error, { endpoint: recipient.id }, recipient.id)
  const installation = app.settings.WEBHOOK_RETRY_SCHEDULE_MS
  const total = (schedule: readonly number[]) => schedule.reduce((sum, each) => sum + each, 0)
  const { reason, retryInMs } = judgeFault(error, {
    now: delivery.message.now,
    faultSince: delivery.faultSince,
    giveUpAfterMs: Math.max(total(installation), total(retryScheduleOf(recipient, installation))),
  })
  if (retryInMs === null) await close(app, delivery, 'EXHAUSTED', reason, exhaustionOf(delivery, recipient))
  else
    await settle(app, {
      settlement: { ...claimOf(delivery), status: 'PENDING', reason, retryInMs },
      attempt: null,
      lane: null,
      exhausted: null,
    })
}

async function send(
  app: App,
  delivery: Delivery,
  recipient: Recipient,
  text: string,
  signal: AbortSignal,
  claimed: Pick<Delivery, 'sent'>,
): Promise<void> {
  const body = Buffer.from(text)
  const headers = headersOf(delivery.message, recipient, body)
  const begun = performance.now()
  const request = {
    url: recipient.url,
    headers,
    body,
    timeoutMs: recipient.timeoutMs ?? defaultTimeoutMs,
    maxResponseBytes: maxReadBytes,
    signal,
    // A kept connection may be gone just as we write, and then nobody knows.
    fresh: recipient.atMostOnce,
    onSend: () => {
      claimed.sent = true
    },
  }
  let result: OutgoingResult
  try {
    result = await outgoingHttp.use(app).post(request)
  } catch (error) {
    if (!signal.aborted || !recipient.atMostOnce || !claimed.sent) throw error
    const durationMs = Math.round(performance.now() - begun)
    return void (await settle(app, {
      settlement: {
        ...claimOf(delivery),
        attemptCount: delivery.attemptCount + 1,
        status: 'UNKNOWN',
        reason: 'The attempt was interrupted. The message may have arrived and is not sent again.',
        retryInMs: null,
      },
      attempt: attemptOf(delivery, recipient, { headers, durationMs, errorClass: 'UNKNOWN' }),
      lane: null,
      exhausted: null,
    }))
  }
  await conclude(app, delivery, recipient, headers, result, claimed.sent)
}

/** The claim, as a settlement names it; no try is counted. */
const claimOf = ({ messageId, endpointId, leaseEpoch, attemptCount, nextAttemptAt }: Delivery) => ({
  messageId,
  endpointId,
  leaseEpoch,
  attemptCount,
  dueAt: nextAttemptAt,
})

type ClosedStatus = 'CANCELLED' | 'SKIPPED' | 'UNKNOWN' | 'EXHAUSTED'

/** Ends a delivery without an attempt. */
async function close(
  app: App,
  delivery: Delivery,
  status: ClosedStatus,
  reason: string,
  exhausted: Exhaustion | null = null,
): Promise<void> {
  await settle(app, { settlement: { ...claimOf(delivery), status, reason, retryInMs: null }, attempt: null, lane: null, exhausted })
}

/** Sent by hand, also again: no event stands behind it. */
const isTestOf = ({ message }: Delivery) => message.position === null

/** Null: nobody is told. A type of their own kind would tell of itself without end. */
const exhaustionOf = (delivery: Delivery, { projectId, description }: Recipient | UnreadableRecipient): Exhaustion | null => {
  const { organizationId, message } = delivery
  if (isTestOf(delivery) || message.eventType.startsWith('webhook_endpoint.')) return null
  return { organizationId, projectId, description, eventType: message.eventType }
}

type Told = {
  headers: Record<string, string>
  durationMs: number
  errorClass: WebhookErrorClass | null
  answer?: Extract<OutgoingResult, { type: 'response' }> | null
}

const attemptOf = (delivery: Delivery, recipient: Recipient, { headers, durationMs, errorClass, answer = null }: Told): AttemptRow => ({
  id: newId(),
  organizationId: delivery.organizationId,
  messageId: delivery.messageId,
  endpointId: delivery.endpointId,
  number: delivery.attemptCount + 1,
  trigger: delivery.trigger,
  url: recipient.url,
  dueAt: delivery.nextAttemptAt,
  startedAt: delivery.message.now,
  durationMs,
  requestHeaders: maskedHeaders(headers, recipient),
  responseStatus: answer?.status ?? null,
  errorClass,
  responseHeaders: answer?.headers ?? null,
  responseBody: answer ? keptText(answer.body) : null,
  worker: delivery.leaseOwner,
})

async function conclude(
  app: App,
  delivery: Delivery,
  recipient: Recipient,
  headers: Record<string, string>,
  result: OutgoingResult,
  sent: boolean,
) {
  const { message } = delivery
  const number = delivery.attemptCount + 1
  const isTest = isTestOf(delivery)
  const { status, reason, retryInMs, errorClass, disable } = judge({
    result,
    number: number - delivery.scheduleBase,
    scheduleMs: isTest ? [] : retryScheduleOf(recipient, app.settings.WEBHOOK_RETRY_SCHEDULE_MS),
    answeredAt: new Date(message.now.getTime() + result.durationMs),
    random: Math.random(),
    mustNotRepeat: recipient.atMostOnce && sent,
  })
  const answer = result.type === 'response' ? result : null
  const news = await settle(app, {
    settlement: { ...claimOf(delivery), attemptCount: number, status, reason, retryInMs },
    attempt: attemptOf(delivery, recipient, { headers, durationMs: result.durationMs, errorClass, answer }),
    lane: isTest && errorClass !== null ? null : { accepted: errorClass === null, silent: answer === null, isTest },
    exhausted: status === 'EXHAUSTED' ? exhaustionOf(delivery, recipient) : null,
  })
  await actOn(app, recipient, news, isTest ? null : disable)
}

/** Removes what receivers answered, by age. */
export const expireWebhookAnswers: Chore = {
  name: 'expire webhook answers',
  topic: null,
  everyMs: 10 * 60_000,
  run: async (app) => ((await expireAnswers(app)) >= expireAnswersBatch ? 'again' : undefined),
}
