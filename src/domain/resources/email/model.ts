import { randomBytes, randomInt } from 'node:crypto'
import type { EmailService } from '../../../generated/prisma/client.ts'
import { ofOrganization } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'
import type { Work } from '../../../platform/work.ts'

/** What the sealed columns are sealed for. */
export const privateKeyIdentity = (domainId: string) => `sending_domain:${domainId}:private_key`
export const keyIdentity = (keyId: string) => `email_api_key:${keyId}:key`

export const maxDomains = 20
export const maxRecipients = 50
export const maxKeys = 50

export const codeTtlMs = 24 * 3_600_000
export const codeTries = 5
/** Codes to one address within 24 hours. With the tries of each, a guess succeeds with a chance of 1 in 10,000 a day. */
export const maxCodes = 20

export const newCode = (): string => randomInt(1_000_000).toString().padStart(6, '0')

/** Prefix of the keys of email services. */
export const keyPrefix = 'rs_eml_'
export const newKey = (): string => keyPrefix + randomBytes(24).toString('base64url')
export const isKey = (text: string): boolean => /^rs_eml_[A-Za-z0-9_-]{32}$/.test(text)

/** Locks a service within the caller's scope. Null if it does not exist. */
export const lockEmailService = (work: Work, id: string): Promise<EmailService | null> =>
  row<EmailService>(
    work.tx,
    sql`select t.* from email_service t where t.id = ${id}::uuid and ${ofOrganization(work.caller, sql`t`)} for update`,
  )
