/**
 * Tracking of opened mails and clicked links: a pixel and links with signed tokens. A token of a link contains its target, so that nobody can
 * make the address of Quayside lead anywhere else.
 */
import { createHash } from 'node:crypto'
import { row, rows, sql, type Tx } from '../../../platform/db/index.ts'
import { nilId } from '../../../platform/id.ts'
import type { Settings } from '../../../platform/settings.ts'
import type { App } from '../../../platform/work.ts'
import type { MailContent, MailRow } from './model.ts'
import { report, transactFor } from './outcome.ts'
import { isEqual } from './token.ts'

export type TrackingKind = 'open' | 'click'

/** What a token of a mail stands for. */
export type Tracked = { mailId: string; url: string | null }

const maxUrlLength = 2_000
/** Most links of a mail whose first click is reported. */
const maxClickedLinks = 200
const idBytes = 16

/** Whether mails can be tracked: only with a PUBLIC_URL does a recipient reach Quayside. */
export const canTrack = ({ PUBLIC_URL }: Settings): boolean => PUBLIC_URL !== undefined

const signed = (kind: TrackingKind, payload: string) => `track ${kind} ${payload}`

async function trackingTokens(app: App, tx: Tx, kind: TrackingKind, mailId: string, urls: readonly string[]): Promise<string[]> {
  const id = Buffer.from(mailId.replaceAll('-', ''), 'hex')
  const payloads = urls.map((url) => Buffer.concat([id, Buffer.from(url)]).toString('base64url'))
  const macs = await app.keyring.fingerprintAll(
    tx,
    nilId,
    payloads.map((payload) => signed(kind, payload)),
  )
  return payloads.map((payload, index) => `${payload}.${Buffer.from(macs[index]!, 'hex').toString('base64url')}`)
}

/** Reads a token. Null unless it was made here for this kind. */
export async function readTrackingToken(app: App, tx: Tx, kind: TrackingKind, token: string): Promise<Tracked | null> {
  const [, payload = '', mac = ''] = /^([\w-]{22,})\.([\w-]{22})$/.exec(token) ?? []
  if (payload === '') return null
  const expected = Buffer.from(await app.keyring.fingerprint(tx, nilId, signed(kind, payload)), 'hex')
  if (!isEqual(Buffer.from(mac, 'base64url'), expected)) return null
  const bytes = Buffer.from(payload, 'base64url')
  const mailId = bytes
    .subarray(0, idBytes)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
  return { mailId, url: kind === 'click' ? bytes.subarray(idBytes).toString('utf8') : null }
}

type Link = { start: number; end: number; target: string }

const attribute = /[\s/]*([^\s"'<>/=]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'<>]+))?/y

/** The links of HTML whose address is in quotes: where it stands, and what it leads to. Reads each character about once. */
function linksOf(html: string): Link[] {
  const links: Link[] = []
  const tag = /<a(?=[\s/])/gi
  while (tag.exec(html)) {
    let found: Link | null = null
    let end = tag.lastIndex
    attribute.lastIndex = end
    for (let match = attribute.exec(html); match; match = attribute.exec(html)) {
      end = attribute.lastIndex
      const [, name = '', value = ''] = match
      const target = name.toLowerCase() === 'href' && /^["']/.test(value) ? targetOf(value.slice(1, -1)) : null
      if (target !== null) found ??= { start: end - value.length, end, target }
    }
    tag.lastIndex = end
    if (found && /^[\s/]*>/.test(html.slice(end, end + 100))) links.push(found)
  }
  return links
}

/** The HTML of a mail with its links and a pixel, as far as the mail is to be tracked. */
export async function trackedHtml(app: App, tx: Tx, mailId: string, { html, tracking }: MailContent): Promise<string | null> {
  const base = app.settings.PUBLIC_URL?.replace(/\/+$/, '')
  if (!html || !tracking || !base) return html ?? null
  let result = html
  if (tracking.clicks) {
    const links = linksOf(html)
    const tokens = await trackingTokens(
      app,
      tx,
      'click',
      mailId,
      links.map(({ target }) => target),
    )
    let rest = 0
    result = ''
    for (const [index, { start, end }] of links.entries()) {
      result += `${html.slice(rest, start)}"${base}/e/c/${tokens[index]}"`
      rest = end
    }
    result += html.slice(rest)
  }
  if (!tracking.opens) return result
  const [token] = await trackingTokens(app, tx, 'open', mailId, [''])
  const pixel = `<img src="${base}/e/o/${token}" width="1" height="1" alt="">`
  const end = result.toLowerCase().lastIndexOf('</body>')
  return end < 0 ? result + pixel : result.slice(0, end) + pixel + result.slice(end)
}

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/** The address that a link leads to. Null if it is not on the web, or is written in a way that is not understood here. */
function targetOf(attribute: string): string | null {
  const text = attribute
    .trim()
    .replaceAll(/&#(\d{1,6});/g, (_, code: string) => String.fromCodePoint(Number(code)))
    .replaceAll(/&#x([0-9a-f]{1,5});/gi, (_, code: string) => String.fromCodePoint(Number.parseInt(code, 16)))
    .replaceAll(/&(amp|lt|gt|quot|apos);/g, (_, name: string) => entities[name]!)
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text) || /&[a-z]+;/i.test(attribute.replaceAll(/&(amp|lt|gt|quot|apos);/g, '')))
    return null
  const { href } = new URL(text)
  return href.length <= maxUrlLength ? href : null
}

type Followed = Pick<MailRow, 'id' | 'organizationId' | 'purpose' | 'ref' | 'attemptCount'>

/** Reports that a mail was opened, or a link of it was clicked, the first time. */
export async function recordTracked(app: App, { mailId, url }: Tracked): Promise<void> {
  const digest = url === null ? null : createHash('sha256').update(url).digest('hex').slice(0, 16)
  const isNew =
    digest === null ? sql`opened_at is null` : sql`not ${digest} = any(clicked_links) and cardinality(clicked_links) < ${maxClickedLinks}`
  const mail = await row<Followed>(
    app.db,
    sql`select id, organization_id, purpose, ref, attempt_count from mail where id = ${mailId}::uuid and ${isNew}`,
  )
  if (!mail) return
  await transactFor(app, mail, async (work) => {
    const set = digest === null ? sql`opened_at = app_now()` : sql`clicked_links = clicked_links || ${digest}::text`
    const changed = await row(work.tx, sql`update mail set ${set} where id = ${mailId}::uuid and ${isNew} returning id`)
    if (!changed) return
    const recipients = await rows<{ address: string }>(
      work.tx,
      sql`select address from mail_recipient where mail_id = ${mailId}::uuid order by number limit 2`,
    )
    const recipient = recipients.length === 1 ? recipients[0]!.address : null
    const found = { recipient, code: null, text: null, permanent: false }
    await report(work, mail, [url === null ? { ...found, outcome: 'opened' } : { ...found, outcome: 'clicked', url }])
  })
}
