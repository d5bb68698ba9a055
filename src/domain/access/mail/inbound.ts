/** What is done with the reports that mail servers send to the return path of a mail, or to the address for complaints. */
import { row, rows, sql } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import type { MailRow, RecipientRow } from './model.ts'
import { type Finding, report, transactFor, updateRecipients } from './outcome.ts'
import type { InboundMail } from './ports.ts'
import { type Complaint, type DeliveryReport, parseReport } from './report-parser.ts'
import { receivedAt } from './return-path.ts'
import { mailOfToken } from './token.ts'

/** The id of the mail in whose return path an address is. Null for other addresses. */
async function mailOfAddress(app: App, address: string): Promise<string | null> {
  const place = receivedAt(app.settings, address)
  return place === null || place === 'complaints' ? null : mailOfToken(app, app.db, place.token)
}

/** The handler of received mail. Nothing is accepted that is not addressed to a signed return path or to the address for complaints. */
export const inboundMail = (app: App): InboundMail => ({
  async accepts(address) {
    return receivedAt(app.settings, address) === 'complaints' || (await mailOfAddress(app, address)) !== null
  },
  async receive(to, raw) {
    const found = await parseReport(raw)
    if (found === null) return 'handled'
    for (const address of to) {
      const mailId = (await mailOfAddress(app, address)) ?? (found.kind === 'complaint' ? await mailOfComplaint(app, found) : null)
      if (mailId !== null && !(await record(app, mailId, found))) return 'later'
    }
    return 'handled'
  },
})

/** A Message-ID of ours contains the signed token, so that nobody can complain about a mail that they have not seen. */
async function mailOfComplaint(app: App, { messageIds }: Complaint): Promise<string | null> {
  for (const messageId of messageIds) {
    const token = /^<([0-9a-z]+)@/i.exec(messageId)?.[1]
    const mailId = token === undefined ? null : await mailOfToken(app, app.db, token)
    if (mailId !== null) return mailId
  }
  return null
}

type Followed = Pick<MailRow, 'id' | 'organizationId' | 'purpose' | 'ref' | 'attemptCount' | 'leaseOwner'>

/** Returns false while the answer that the report is about has not been recorded yet: a report may be faster than the worker. */
async function record(app: App, mailId: string, found: DeliveryReport | Complaint): Promise<boolean> {
  const mail = await row<Followed>(
    app.db,
    sql`select id, organization_id, purpose, ref, attempt_count, lease_owner from mail where id = ${mailId}::uuid`,
  )
  if (!mail) return true
  return transactFor(app, mail, async (work) => {
    const recipients = await rows<RecipientRow>(
      work.tx,
      sql`select * from mail_recipient where mail_id = ${mailId}::uuid order by number for update`,
    )
    if (recipients.some(({ status }) => status === 'PENDING') && mail.leaseOwner !== null) return false
    const changes = found.kind === 'delivery' ? deliveryChanges(recipients, found) : complaintChanges(recipients, found)
    const changed = await updateRecipients(
      work,
      mailId,
      ['SENT', 'DELIVERED', 'BOUNCED'],
      changes.filter(({ isNews }) => isNews),
    )
    const findings = changes.filter(({ number, isNews }) => !isNews || changed.has(number)).map(({ finding }) => finding)
    await report(work, mail, findings)
    return true
  })
}

/** `isNews`: the status of the recipient changes. A delay is only reported. */
type Change = Pick<RecipientRow, 'number' | 'status' | 'code' | 'text'> & { isNews: boolean; finding: Finding }

/** The recipient that a report names. A mail with one recipient may have been forwarded to an address that we don't know. */
const recipientOf = (recipients: readonly RecipientRow[], addresses: readonly string[]): RecipientRow | undefined =>
  recipients.find(({ address }) => addresses.includes(address.toLowerCase())) ?? (recipients.length === 1 ? recipients[0] : undefined)

function deliveryChanges(recipients: readonly RecipientRow[], { recipients: reported }: DeliveryReport): Change[] {
  return reported.flatMap(({ addresses, action, status: code, text }): Change[] => {
    const recipient = recipientOf(recipients, addresses)
    const meaning = meaningOf(action)
    if (!recipient || !meaning?.from.includes(recipient.status)) return []
    const { outcome } = meaning
    const permanent = outcome === 'bounced' && code.startsWith('5')
    const finding: Finding = { recipient: recipient.address, outcome, code: code || null, text: text || null, permanent }
    const status = meaning.to ?? recipient.status
    return [{ number: recipient.number, status, code: finding.code, text: finding.text, isNews: meaning.to !== null, finding }]
  })
}

type Meaning = { outcome: Finding['outcome']; from: RecipientRow['status'][]; to: RecipientRow['status'] | null }

const meanings: Record<string, Meaning> = {
  failed: { outcome: 'bounced', from: ['SENT', 'DELIVERED'], to: 'BOUNCED' },
  delivered: { outcome: 'delivered', from: ['SENT'], to: 'DELIVERED' },
  delayed: { outcome: 'deferred', from: ['SENT'], to: null },
}

const meaningOf = (action: string): Meaning | undefined => (Object.hasOwn(meanings, action) ? meanings[action] : undefined)

function complaintChanges(recipients: readonly RecipientRow[], { addresses }: Complaint): Change[] {
  const recipient = recipientOf(recipients, addresses)
  if (!recipient || !['SENT', 'DELIVERED', 'BOUNCED'].includes(recipient.status)) return []
  const text = 'The recipient reported the mail as spam.'
  const finding: Finding = { recipient: recipient.address, outcome: 'complained', code: null, text, permanent: true }
  return [{ number: recipient.number, status: 'COMPLAINED', code: null, text, isNews: true, finding }]
}
