/** Names of custom domains: how a text becomes one, and which ones this installation keeps for itself. All pure. */
import { domainToASCII, domainToUnicode } from 'node:url'
import { z } from 'zod'
import type { Settings } from '../../../platform/settings.ts'

export const challengeLabel = '_quayside-challenge'

/** The name of the TXT record must fit into a name of 253 characters, too. */
const longest = 253 - challengeLabel.length - 1
const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const shape = 'must be the name of a host with at least one dot, such as www.example.com, without a scheme, port, path or wildcard'

/** The name in lower case and ASCII, without a dot at the end. Null for a text that is no name of a host, such as an IP address. */
export function domainNameOf(text: string): string | null {
  // The conversion would drop or decode some of these instead of refusing them.
  if (text.length > 1_000 || /[\p{Cc}\s/\\?#@:%[\]*_]/u.test(text.trim())) return null
  const name = domainToASCII(text.trim().replace(/\.$/, ''))
  const labels = name.split('.')
  if (name.length > longest || labels.length < 2 || !labels.every((part) => label.test(part)) || !/[a-z]/.test(labels.at(-1)!)) return null
  // A label that claims to be converted must be so, and in the one way there is.
  const readable = domainToUnicode(name)
  return /(^|\.)xn--/.test(readable) || domainToASCII(readable) !== name ? null : name
}

export const domainNameSchema = z.string().transform((text, context) => {
  const name = domainNameOf(text)
  if (name !== null) return name
  context.addIssue({ code: 'custom', message: shape })
  return z.NEVER
})

/** Whether a name is one of the installation itself: that of its services, of its router, or of its API. */
export function isReserved(name: string, settings: Pick<Settings, 'ROUTER_DOMAIN' | 'ROUTER_TARGET' | 'PUBLIC_URL'>): boolean {
  const { ROUTER_DOMAIN, ROUTER_TARGET = [], PUBLIC_URL } = settings
  const api = PUBLIC_URL === undefined ? null : new URL(PUBLIC_URL).hostname
  return name === ROUTER_DOMAIN || name.endsWith(`.${ROUTER_DOMAIN}`) || name === api || ROUTER_TARGET.includes(name)
}
