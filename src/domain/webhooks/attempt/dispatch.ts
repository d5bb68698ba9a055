/**
 * WEBHOOK_ENGINE=svix: a due delivery is handed to the Svix server, which signs, sends and retries. A delivery that was handed over counts
 * as delivered. Each endpoint is an application there; projects, payload filters and selections are evaluated on our side.
 */
import type { End } from '../../../platform/claim.ts'
import { encodeId } from '../../../platform/id.ts'
import type { App } from '../../../platform/work.ts'
import { mirrorEndpoint } from '../delivery/index.ts'
import { type Dispatcher, dispatcherPort, type Recipient } from '../endpoint/index.ts'
import { Fault } from './fault.ts'
import type { LoadedDelivery } from './load.ts'
import { keptText } from './model.ts'
import { attemptOf } from './record.ts'
import { claimOf, settle } from './settle.ts'

/**
 * A final refusal of the message or its endpoint ends the delivery and counts as an attempt. Throws if the server cannot be reached,
 * has no answer or rejects the token: the delivery then waits, and no attempt is counted.
 */
export async function dispatch(app: App, delivery: LoadedDelivery, recipient: Recipient, text: string): Promise<End> {
  const server = dispatcherPort.use(app)
  const messageId = encodeId('WebhookMessage', delivery.messageId)
  const begun = performance.now()
  let refused = 'the endpoint'
  let result: Awaited<ReturnType<Dispatcher['dispatch']>>
  try {
    await mirrorEndpoint(app, recipient)
    refused = 'it'
    const endpointId = encodeId('WebhookEndpoint', recipient.id)
    result = await server.dispatch({ endpointId, messageId, eventType: delivery.message.eventType, payload: text })
  } catch (error) {
    const { status, detail = '', isFinal } = error as { status?: number; detail?: string; isFinal?: boolean }
    if (status === 401 || status === 403) {
      throw new Fault('The Svix server rejected SVIX_TOKEN.', { cause: error })
    }
    if (status === undefined || !isFinal) throw error
    result = { type: 'refused', status, message: detail }
  }
  const refusal = result.type === 'refused' ? keptText(Buffer.from(result.message)) : null
  const { end } = await settle(app, {
    settlement: {
      ...claimOf(delivery),
      attemptCount: delivery.attemptCount + 1,
      status: refusal === null ? 'DELIVERED' : 'EXHAUSTED',
      reason: refusal === null ? 'Handed to the Svix server.' : `The Svix server refused ${refused} with ${result.status}: ${refusal}`,
      retryInMs: null,
    },
    attempt: attemptOf(delivery, {
      url: server.url,
      durationMs: Math.round(performance.now() - begun),
      requestHeaders: { 'idempotency-key': messageId },
      responseStatus: result.status,
      errorClass: refusal === null ? null : 'HTTP',
      responseBody: refusal,
    }),
    lane: null,
    exhausted: null,
  })
  return end
}
