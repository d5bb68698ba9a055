/** Events as chat messages, in the JSON format of the incoming webhooks of each chat service. Pure. */
import type { WebhookFormat } from '../../../generated/prisma/client.ts'
import type { ContractFormat } from '../endpoint/index.ts'

type ChatFormat = Exclude<WebhookFormat, 'RAW' | 'EMAIL' | ContractFormat>

export type ChatEvent = { type: string; timestamp: string; data: unknown }

/** Maximum length of a Discord message. The other services allow more, but nobody reads that much. */
const maxLength = 2_000

export function chatBody(format: ChatFormat, event: ChatEvent): string {
  const text = textOf(event, escapes[format])
  switch (format) {
    case 'SLACK':
      return JSON.stringify({ text })
    case 'DISCORD':
      // A name in the data must not mention people.
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

const escapeWithBackslash = (marks: RegExp) => (text: string) => text.replace(marks, '\\$&')

/** Escapes the markup of each service, so that a name in the data can neither format the text nor hide a link in it. */
const escapes: Record<ChatFormat, (text: string) => string> = {
  SLACK: (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'),
  DISCORD: escapeWithBackslash(/[\\*_~`|<>[\]()]/g),
  TEAMS: escapeWithBackslash(/[\\*_~`|<>[\](){}&!]/g),
}

/** One line for each plain value. Line breaks within a value are removed, because they could start a heading or a list. */
function textOf({ type, timestamp, data }: ChatEvent, escapeMarkup: (text: string) => string): string {
  const lines = Object.entries((data ?? {}) as Record<string, unknown>).flatMap(([name, value]) =>
    value === null || typeof value === 'object' ? [] : [`${name}: ${String(value).replace(/\s*[\r\n\u2028\u2029]+\s*/g, ' ')}`],
  )
  const text = escapeMarkup([`${type} (${timestamp})`, ...lines].join('\n'))
  if (text.length <= maxLength) return text
  // The cut must not split a surrogate pair, an entity or an escape.
  const cut = text
    .slice(0, maxLength - 1)
    .replace(/[\uD800-\uDBFF]$/, '')
    .replace(/&[a-z]{0,3}$/, '')
  const splitsEscape = escapeMarkup !== escapes.SLACK && /\\*$/.exec(cut)![0].length % 2 === 1
  return `${splitsEscape ? cut.slice(0, -1) : cut}…`
}
