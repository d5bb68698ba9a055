/** The DNS records of a sending domain: their texts, and whether found ones are right. All pure. */
import type { DnsCheckStatus, SendingDomain } from '../../../generated/prisma/client.ts'
import type { Settings } from '../../../platform/settings.ts'

export const purposes = ['SPF', 'DKIM', 'DMARC'] as const
export type Purpose = (typeof purposes)[number]

/** What a check found for each record. */
export type Checks = Record<Purpose, { status: DnsCheckStatus; found: string[] }>

/** Texts at the names of the records. Null: the name has none. */
export type Answers = Record<Purpose, readonly string[] | null>

export type DnsRecord = { purpose: Purpose; type: 'TXT'; name: string; value: string; status: DnsCheckStatus; found: string[] }

type Described = Pick<SendingDomain, 'domain' | 'selector' | 'publicKey' | 'checks'>

/**
 * The mechanism of SPF that names the servers that send: a setting, else the host of the SMTP server, else that of the API. Mail leaves through
 * the SMTP server, so only its operator knows the addresses.
 */
export function spfMechanism({ EMAIL_SPF, SMTP_URL, PUBLIC_URL, HOST }: Settings): string {
  if (EMAIL_SPF !== undefined) return EMAIL_SPF
  const host = SMTP_URL ? new URL(SMTP_URL.reveal()).hostname : PUBLIC_URL ? new URL(PUBLIC_URL).hostname : HOST
  const address = host.replace(/^\[|\]$/g, '')
  return address.includes(':') ? `ip6:${address}` : /^[\d.]+$/.test(address) ? `ip4:${address}` : `a:${address}`
}

export const nameOf = ({ domain, selector }: Pick<Described, 'domain' | 'selector'>, purpose: Purpose): string =>
  purpose === 'SPF' ? domain : purpose === 'DKIM' ? `${selector}._domainkey.${domain}` : `_dmarc.${domain}`

function textOf({ publicKey }: Pick<Described, 'publicKey'>, purpose: Purpose, mechanism: string): string {
  if (purpose === 'SPF') return `v=spf1 ${mechanism} ~all`
  return purpose === 'DKIM' ? `v=DKIM1; k=rsa; p=${publicKey}` : 'v=DMARC1; p=none'
}

/** The records of a domain, to be shown. */
export function recordsOf(domain: Described, mechanism: string): DnsRecord[] {
  const checks = domain.checks as Partial<Checks>
  return purposes.map((purpose) => ({
    ...{ purpose, type: 'TXT', name: nameOf(domain, purpose), value: textOf(domain, purpose, mechanism) },
    ...(checks[purpose] ?? { status: 'PENDING', found: [] }),
  }))
}

/** At most this much of what is found is kept, because anyone can publish anything. */
const maxFound = 10
const maxText = 2_000

/** Whether the texts that were found are right: VERIFIED, PENDING if there are none of the kind, and FAILED if those there are do not fit. */
export function evaluate({ publicKey }: Pick<Described, 'publicKey'>, mechanism: string, answers: Answers): Checks {
  const of = (purpose: Purpose, isKind: (text: string) => boolean, isRight: (texts: string[]) => boolean) => {
    const found = (answers[purpose] ?? []).filter(isKind)
    const status: DnsCheckStatus = found.length === 0 ? 'PENDING' : isRight(found) ? 'VERIFIED' : 'FAILED'
    return { status, found: found.slice(0, maxFound).map((text) => text.slice(0, maxText)) }
  }
  return {
    // Two SPF records are an error of their own (RFC 7208, section 4.5).
    SPF: of(
      'SPF',
      (text) => /^v=spf1( |$)/i.test(text),
      (texts) => texts.length === 1 && termsOf(texts[0]!).includes(mechanism.toLowerCase()),
    ),
    DKIM: of(
      'DKIM',
      () => true,
      (texts) => texts.length === 1 && isKeyRecord(texts[0]!, publicKey),
    ),
    DMARC: of(
      'DMARC',
      (text) => /^v=DMARC1\s*(;|$)/i.test(text),
      (texts) => texts.length === 1 && /;\s*p\s*=\s*(none|quarantine|reject)\s*(;|$)/i.test(texts[0]!),
    ),
  }
}

const termsOf = (spf: string): string[] =>
  spf
    .toLowerCase()
    .split(/\s+/)
    .map((term) => term.replace(/^\+/, ''))

/** RFC 6376, section 3.6.1. Tags may have white space around them. */
function isKeyRecord(text: string, publicKey: string): boolean {
  const tags = new Map(
    text.split(';').map((tag) => {
      const at = tag.indexOf('=')
      return [tag.slice(0, at).trim(), tag.slice(at + 1).replaceAll(/\s/g, '')] as const
    }),
  )
  return tags.get('p') === publicKey && (tags.get('v') ?? 'DKIM1') === 'DKIM1' && (tags.get('k') ?? 'rsa') === 'rsa'
}

/** SPF and DKIM prove a domain. DMARC is optional. */
export const isProven = ({ SPF, DKIM }: Checks): boolean => SPF.status === 'VERIFIED' && DKIM.status === 'VERIFIED'
export const isRefuted = ({ SPF, DKIM }: Checks): boolean => SPF.status === 'FAILED' || DKIM.status === 'FAILED'
