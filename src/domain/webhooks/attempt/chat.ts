/** Events as messages of chat services, in the JSON that their incoming webhooks take. Pure. */
import type { WebhookFormat } from '../../../generated/prisma/client.ts'

export type ChatEvent = { type: string; timestamp: string; data: unknown }

/** Discord refuses longer ones; the others take more than anybody reads. */
const longest = 2_000

export function chatBody(format: Exclude<WebhookFormat, 'RAW'>, event: ChatEvent): string {
  const text = textOf(event)
  switch (format) {
    case 'SLACK':
      // What Slack reads as its own marks; anything else stands as it is.
      return JSON.stringify({ text: text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;') })
    case 'DISCORD':
      // A name in the data must not call people.
      return JSON.stringify({ content: text, allowed_mentions: { parse: [] } })
    case 'TEAMS':
      return JSON.stringify({
        type: 'message',
        attachments: [
          {
            contentType: 'application/vnd.microsoft.card.adaptive',
            content: {
              $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
              type: 'AdaptiveCard',
              version: '1.4',
              body: [{ type: 'TextBlock', text, wrap: true }],
            },
          },
        ],
      })
  }
}

function textOf({ type, timestamp, data }: ChatEvent): string {
  const lines = Object.entries((data ?? {}) as Record<string, unknown>).flatMap(([name, value]) =>
    value === null || typeof value === 'object' ? [] : [`${name}: ${String(value)}`],
  )
  const text = [`${type} (${timestamp})`, ...lines].join('\n')
  // No half of a surrogate pair before the dots.
  return text.length <= longest ? text : `${text.slice(0, longest - 1).replace(/[\uD800-\uDBFF]$/, '')}…`
}
