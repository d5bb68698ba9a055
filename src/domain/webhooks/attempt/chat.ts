/** Events as messages of chat services, in the JSON that their incoming webhooks take. Pure. */
import type { WebhookFormat } from '../../../generated/prisma/client.ts'

export type ChatEvent = { type: string; timestamp: string; data: unknown }

/** Discord refuses longer ones; the others take more than anybody reads. */
const longest = 2_000

export function chatBody(format: Exclude<WebhookFormat, 'RAW'>, event: ChatEvent): string {
  const text = textOf(event, escapes[format])
  switch (format) {
    case 'SLACK':
      return JSON.stringify({ text })
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

const backslashed = (marks: RegExp) => (text: string) => text.replace(marks, '\\$&')

/** What a service would read as its own marks, so that a name in the data can neither format a text nor hide a link in it. */
const escapes: Record<Exclude<WebhookFormat, 'RAW'>, (text: string) => string> = {
  SLACK: (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'),
  DISCORD: backslashed(/[\\*_~`|<>[\]()]/g),
  TEAMS: backslashed(/[\\*_~`|<>[\](){}&!]/g),
}

/** One line for each plain value: a line break in one would begin a line of its own, such as a heading or a list. */
function textOf({ type, timestamp, data }: ChatEvent, escaped: (text: string) => string): string {
  const lines = Object.entries((data ?? {}) as Record<string, unknown>).flatMap(([name, value]) =>
    value === null || typeof value === 'object' ? [] : [`${name}: ${String(value).replace(/\s*[\r\n\u2028\u2029]+\s*/g, ' ')}`],
  )
  const text = escaped([`${type} (${timestamp})`, ...lines].join('\n'))
  if (text.length <= longest) return text
  // No half of a surrogate pair, entity or escape before the dots.
  const cut = text
    .slice(0, longest - 1)
    .replace(/[\uD800-\uDBFF]$/, '')
    .replace(/&[a-z]{0,3}$/, '')
  const isHalf = escaped !== escapes.SLACK && /\\*$/.exec(cut)![0].length % 2 === 1
  return `${isHalf ? cut.slice(0, -1) : cut}…`
}
