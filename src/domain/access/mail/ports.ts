/** What the domain needs to send mail, to receive reports about it, to look up DNS records, and to lead readers back to the API. */
import { definePort } from '../../../platform/port.ts'

/**
 * - `UNREACHABLE`: the server could not be reached, did not answer in time, answered garbage or refused the login. Says nothing of the mail; if
 *   the connection was lost after the mail was sent, the server may have accepted it.
 */
export type MailErrorCode = 'UNREACHABLE'

export type OutgoingMail = {
  /** Envelope sender. */
  from: string
  /** Envelope recipients. */
  to: readonly string[]
  /** The complete message of RFC 5322. */
  raw: Buffer
  /** Whether to request delivery reports (RFC 3461) under this envelope id. Null: none. */
  reportId: string | null
}

/** The server's answer for one recipient. `whole`: it refused the mail and not the recipient. */
export type RecipientAnswer = {
  address: string
  answer: 'accepted' | 'deferred' | 'refused'
  whole: boolean
  code: string | null
  text: string
}

export type SendResult = {
  recipients: RecipientAnswer[]
  /** Whether the server promised delivery reports. */
  reports: boolean
}

/** Sends mail over an SMTP server. */
export interface MailTransport {
  /** Makes one attempt. Throws PortError with a MailErrorCode, or the reason of `signal`. */
  send(mail: OutgoingMail, signal: AbortSignal): Promise<SendResult>
}

/** Provided if SMTP_URL is set. Otherwise mail is kept in the local outbox. */
export const mailTransport = definePort<MailTransport>('mail transport', { isOptional: true })

/** Handles mail that arrives at MAIL_IN_PORT. Both may reject during an outage of the database; the sender then tries again later. */
export interface InboundMail {
  /** Whether mail to this address is accepted. */
  accepts(address: string): Promise<boolean>
  /** Handles a mail to accepted addresses, whose end may be missing. `later`: the sender is asked to send it again. */
  receive(to: readonly string[], raw: Buffer): Promise<'handled' | 'later'>
}

/** An MX record. */
export type MailExchange = { exchange: string; priority: number }

/**
 * - `NOT_FOUND`: the name or the record does not exist.
 * - `UNAVAILABLE`: no server answered in time, or the answer could not be used. Says nothing of the record.
 */
export type DnsErrorCode = 'NOT_FOUND' | 'UNAVAILABLE'

/** Looks up DNS records. All methods throw PortError with a DnsErrorCode. */
export interface DnsResolver {
  /** Each record with its parts joined. */
  txt(name: string): Promise<string[]>
  mx(name: string): Promise<MailExchange[]>
  cname(name: string): Promise<string[]>
  /** IPv4 and IPv6 addresses, also those behind aliases. */
  addresses(name: string): Promise<string[]>
}

export const dnsResolver = definePort<DnsResolver>('DNS resolver')

/** Where clients reach the API: users by links in mails, and services on this machine. */
export type ApiEndpoint = {
  /** Without a slash at the end. */
  readonly url: string
}

export const apiEndpoint = definePort<ApiEndpoint>('API endpoint')
