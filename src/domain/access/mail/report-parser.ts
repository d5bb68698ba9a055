/**
 * Reads the reports that mail servers send: delivery status notifications (RFC 3464) and complaints (abuse reports, RFC 5965). Their text is
 * untrusted: everything that is not a report, or not readable, is null.
 */
import type { Attachment } from 'mailparser'

export type DeliveryReport = {
  kind: 'delivery'
  recipients: { addresses: string[]; action: string; status: string; text: string }[]
}

export type Complaint = {
  kind: 'complaint'
  addresses: string[]
  /** Message-IDs that the report contains. One of them is that of the mail that the complaint is about. */
  messageIds: string[]
}

const maxRecipients = 100
const maxMessageIds = 5
const maxTextLength = 500

export async function parseReport(raw: Buffer): Promise<DeliveryReport | Complaint | null> {
  const { simpleParser } = await import('mailparser')
  const options = { keepDeliveryStatus: true, skipHtmlToText: true, skipImageLinks: true, skipTextToHtml: true, skipTextLinks: true }
  // It rejects what exceeds its limits, such as thousands of parts or header fields.
  const attachments = await simpleParser(raw, options).then(
    (mail) => mail.attachments,
    () => [],
  )
  const partOf = (...types: string[]) => attachments.find(({ contentType }) => types.includes(contentType))
  const delivery = partOf('message/delivery-status', 'message/global-delivery-status')
  if (delivery) return deliveryOf(blocksOf(textOf(delivery)))
  const feedback = partOf('message/feedback-report')
  return feedback ? complaintOf(blocksOf(textOf(feedback))[0], raw) : null
}

type Fields = Map<string, string[]>

const textOf = ({ content }: Attachment) => content.toString('utf8')

/** Groups of header fields, separated by blank lines. Names are in lower case. */
function blocksOf(text: string): Fields[] {
  const unfolded = text.replaceAll('\r\n', '\n').replaceAll(/\n[ \t]+/g, ' ')
  const blocks = unfolded.split(/\n{2,}/).slice(0, maxRecipients + 1)
  return blocks.map((block) => {
    const fields: Fields = new Map()
    for (const line of block.split('\n')) {
      const colon = line.indexOf(':')
      const name = line.slice(0, colon).trim().toLowerCase()
      if (colon > 0) fields.set(name, [...(fields.get(name) ?? []), line.slice(colon + 1).trim()])
    }
    return fields
  })
}

const first = (fields: Fields | undefined, name: string) => fields?.get(name)?.[0] ?? null

function deliveryOf(blocks: readonly Fields[]): DeliveryReport | null {
  const recipients = blocks
    .filter((fields) => fields.has('action'))
    .map((fields) => ({
      addresses: ['original-recipient', 'final-recipient'].flatMap((name) => addressOf(first(fields, name)) ?? []),
      action: first(fields, 'action')!.toLowerCase(),
      status: /^[245]\.\d{1,3}\.\d{1,3}/.exec(first(fields, 'status') ?? '')?.[0] ?? '',
      text: (first(fields, 'diagnostic-code') ?? '').replace(/^smtp;\s*/i, '').slice(0, maxTextLength),
    }))
  return recipients.length > 0 ? { kind: 'delivery', recipients } : null
}

function complaintOf(fields: Fields | undefined, raw: Buffer): Complaint | null {
  if (!fields?.has('feedback-type') || first(fields, 'feedback-type')?.toLowerCase() === 'not-spam') return null
  const names = ['original-rcpt-to', 'removal-recipient']
  const addresses = names.flatMap((name) => fields.get(name) ?? []).flatMap((value) => addressOf(value) ?? [])
  const messageIds = [...raw.toString('latin1').matchAll(/^message-id:\s*(<[^<>\s]+>)/gim)].map((match) => match[1]!)
  return { kind: 'complaint', addresses, messageIds: messageIds.slice(0, maxMessageIds) }
}

/** `rfc822; ada@example.com`, `<ada@example.com>` and `ada@example.com` are the same, in lower case. */
function addressOf(value: string | null): string | null {
  return (
    value
      ?.replace(/^[\w-]+;/, '')
      .trim()
      .replace(/^<(.*)>$/, '$1')
      .toLowerCase() || null
  )
}
