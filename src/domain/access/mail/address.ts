/** Mail addresses as in a header: `ada@example.com` or `Ada Lovelace <ada@example.com>`. */
import { domainToASCII } from 'node:url'
import addressparser from 'nodemailer/lib/addressparser'

export type Mailbox = { name: string; address: string }

const local = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/
const domain = /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/
/** Everything that could end a header line, and other characters that no name contains. */
const control = /[\p{Cc}\u2028\u2029]/u

/** Maximum length of an address, by RFC 5321. */
const maxAddress = 254
const maxName = 100

/** Null unless the text is exactly one valid address, with or without a name. Domains are returned in lower case and in ASCII. */
export function parseMailbox(text: string): Mailbox | null {
  if (text.length > maxAddress + maxName + 8 || control.test(text)) return null
  const [found, ...more] = addressparser(text)
  if (!found || more.length > 0 || found.address === undefined) return null
  const name = found.name.trim()
  const at = found.address.lastIndexOf('@')
  const host = domainToASCII(found.address.slice(at + 1))
  const address = `${found.address.slice(0, at)}@${host}`
  const isValid =
    at > 0 &&
    at <= 64 &&
    local.test(found.address.slice(0, at)) &&
    domain.test(host) &&
    address.length <= maxAddress &&
    name.length <= maxName
  return isValid ? { name, address } : null
}

/** The text that `parseMailbox` reads. */
export const formatMailbox = ({ name, address }: Mailbox): string =>
  name === '' ? address : `"${name.replaceAll(/["\\]/g, '\\$&')}" <${address}>`

/** The bare address of a text that `parseMailbox` accepts. Throws an Error for another one. */
export function addressOf(text: string): string {
  const mailbox = parseMailbox(text)
  if (!mailbox) throw new Error('a mail address was not checked')
  return mailbox.address
}

/** Part of an address after the @, in lower case. */
export const domainOf = (address: string): string => address.slice(address.lastIndexOf('@') + 1).toLowerCase()
