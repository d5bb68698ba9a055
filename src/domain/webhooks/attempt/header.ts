import type { EventTypes } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'
import { type Recipient, sign } from '../endpoint/index.ts'
import type { Sendable } from '../message/index.ts'

/** Headers of a request: those of the endpoint, overridden by those that Standard Webhooks requires. */
export function headersOf(
  types: EventTypes,
  message: Sendable,
  { keys, headers, legacyHeaders }: Recipient,
  body: Uint8Array,
): Record<string, string> {
  const id = encodeId('WebhookMessage', message.id)
  const timestampSeconds = Math.floor(message.now.getTime() / 1_000)
  const signature = sign({ id, timestampSeconds, body, keys })
  const deprecatedAt = types.get(message.eventType)?.deprecatedAt
  return {
    ...headers,
    'content-type': 'application/json',
    'user-agent': 'Quayside',
    'webhook-id': id,
    'webhook-timestamp': String(timestampSeconds),
    'webhook-signature': signature,
    ...(legacyHeaders ? { 'svix-id': id, 'svix-timestamp': String(timestampSeconds), 'svix-signature': signature } : {}),
    // RFC 9745: the event type is deprecated.
    ...(deprecatedAt ? { deprecation: `@${Math.floor(Date.parse(deprecatedAt) / 1_000)}` } : {}),
  }
}

/** Headers as attempts record them: signatures and the endpoint's own headers, which may be credentials, are masked. */
export function maskedHeaders(headers: Record<string, string>, recipient: Recipient): Record<string, string> {
  const secret = new Set([...Object.keys(recipient.headers), 'webhook-signature', 'svix-signature'])
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, secret.has(name) ? '[masked]' : value]))
}
