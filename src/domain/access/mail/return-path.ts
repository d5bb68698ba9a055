/** The envelope sender of mails. If Quayside receives reports, it is an address that names the mail by its signed token. */
import type { Settings } from '../../../platform/settings.ts'
import { addressOf, domainOf } from './address.ts'
import type { MailRow } from './model.ts'

export type ReturnPath = { address: string; takesReports: boolean }

type InboundSettings = Pick<Settings, 'MAIL_IN_PORT' | 'MAIL_IN_DOMAIN' | 'MAIL_FROM'>

/** Domain of the addresses that reports are sent to. */
export const inboundDomain = ({ MAIL_IN_DOMAIN, MAIL_FROM }: InboundSettings): string =>
  MAIL_IN_DOMAIN ?? domainOf(MAIL_FROM.replace(/>\s*$/, ''))

/** The mail's own return path takes precedence. If Quayside receives no reports, they go to the sender. */
export function returnPathOf(
  settings: InboundSettings,
  { returnPath, sender }: Pick<MailRow, 'returnPath' | 'sender'>,
  token: string,
): ReturnPath {
  if (returnPath !== null || settings.MAIL_IN_PORT === undefined) return { address: addressOf(returnPath ?? sender), takesReports: false }
  return { address: `bounce+${token}@${inboundDomain(settings)}`, takesReports: true }
}

/** What an address receives: reports about the mail with a token, or complaints about any mail. Null: nothing. */
export function receivedAt(settings: InboundSettings, address: string): { token: string } | 'complaints' | null {
  const [, token, isComplaints] = /^(?:bounce\+([0-9a-z]+)|(complaints))@[^@]*$/i.exec(address) ?? []
  if (domainOf(address) !== inboundDomain(settings)) return null
  return isComplaints ? 'complaints' : token === undefined ? null : { token }
}
