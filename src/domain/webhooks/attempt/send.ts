/** One HTTP request to an endpoint: signed, sent, judged and recorded. */
import type { End } from '../../../platform/claim.ts'
import type { App } from '../../../platform/work.ts'
import { reportHealth } from '../delivery/index.ts'
import { defaultTimeoutMs, type OutgoingResult, outgoingHttp, type Recipient, retryScheduleOf } from '../endpoint/index.ts'
import { headersOf, maskedHeaders } from './header.ts'
import { isTest, type LoadedDelivery } from './load.ts'
import { judge, keptText, maxReadBytes } from './model.ts'
import { attemptOf } from './record.ts'
import { claimOf, exhaustionOf, settle } from './settle.ts'

/** Resolves to `pending` if the message is to be sent again. Throws for a local fault, and when `signal` aborts unless the request must not be repeated. */
export async function send(app: App, delivery: LoadedDelivery, recipient: Recipient, text: string, signal: AbortSignal): Promise<End> {
  const body = Buffer.from(text)
  const headers = headersOf(app.domain.eventTypes, delivery.message, recipient, body)
  const begun = performance.now()
  let result: OutgoingResult
  try {
    result = await outgoingHttp.use(app).post({
      url: recipient.url,
      headers,
      body,
      timeoutMs: recipient.timeoutMs ?? defaultTimeoutMs,
      maxResponseBytes: maxReadBytes,
      signal,
      // A kept connection may close just as the request is written. Whether it arrived is then unknown.
      fresh: recipient.atMostOnce,
      onSend: () => {
        delivery.progress.sent = true
      },
    })
  } catch (error) {
    if (!signal.aborted || !recipient.atMostOnce || !delivery.progress.sent) throw error
    return recordInterrupted(app, delivery, recipient, headers, Math.round(performance.now() - begun))
  }
  return conclude(app, delivery, recipient, headers, result)
}

type Headers = Record<string, string>

/** The worker stops while a request that must not be repeated is in flight. */
async function recordInterrupted(
  app: App,
  delivery: LoadedDelivery,
  recipient: Recipient,
  headers: Headers,
  durationMs: number,
): Promise<End> {
  const { end } = await settle(app, {
    settlement: {
      ...claimOf(delivery),
      attemptCount: delivery.attemptCount + 1,
      status: 'UNKNOWN',
      reason: 'The attempt was interrupted. The message may have arrived and is not sent again.',
      retryInMs: null,
    },
    attempt: attemptOf(delivery, {
      url: recipient.url,
      durationMs,
      requestHeaders: maskedHeaders(headers, recipient),
      errorClass: 'UNKNOWN',
    }),
    lane: null,
    exhausted: null,
  })
  return end
}

async function conclude(app: App, delivery: LoadedDelivery, recipient: Recipient, headers: Headers, result: OutgoingResult): Promise<End> {
  const number = delivery.attemptCount + 1
  const test = isTest(delivery)
  const { status, reason, retryInMs, errorClass, disable } = judge({
    result,
    number: number - delivery.scheduleBase,
    scheduleMs: test ? [] : retryScheduleOf(recipient, app.settings.WEBHOOK_RETRY_SCHEDULE_MS),
    answeredAt: new Date(delivery.message.now.getTime() + result.durationMs),
    random: Math.random(),
    mustNotRepeat: recipient.atMostOnce && delivery.progress.sent,
  })
  const response = result.type === 'response' ? result : null
  const { end, changes } = await settle(app, {
    settlement: { ...claimOf(delivery), attemptCount: number, status, reason, retryInMs },
    attempt: attemptOf(delivery, {
      url: recipient.url,
      durationMs: result.durationMs,
      requestHeaders: maskedHeaders(headers, recipient),
      errorClass,
      ...(response && { responseStatus: response.status, responseHeaders: response.headers, responseBody: keptText(response.body) }),
    }),
    lane: test && errorClass !== null ? null : { accepted: errorClass === null, silent: response === null, isTest: test },
    exhausted: status === 'EXHAUSTED' ? exhaustionOf(delivery, recipient) : null,
  })
  await reportHealth(app, recipient, changes, test ? null : disable)
  return end
}
