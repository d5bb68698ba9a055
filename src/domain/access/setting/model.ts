/** Settings that administrators can change while the program runs, by their names in the API. Whatever uses them reads them each time. */
import type { Settings } from '../../../platform/settings.ts'

export const changeable = {
  signUp: 'SIGN_UP',
  organizationsPerOwner: 'ORGANIZATIONS_PER_OWNER',
  invitationExpiryMs: 'INVITATION_EXPIRY_MS',
  storageMaxBuckets: 'STORAGE_MAX_BUCKETS',
  storageMaxBytes: 'STORAGE_MAX_BYTES',
  emailDailyLimit: 'EMAIL_DAILY_LIMIT',
  auditRetentionMs: 'AUDIT_RETENTION_MS',
  logRetentionMs: 'LOG_RETENTION_MS',
  webhookRetentionMs: 'WEBHOOK_RETENTION_MS',
  mailRetentionMs: 'MAIL_RETENTION_MS',
} as const satisfies Record<string, keyof Settings>

export type FieldName = keyof typeof changeable
export const fieldNames = Object.keys(changeable) as FieldName[]

/** The values that are in effect, and the names of those that were changed. */
export type ChangeableSettings = { [Name in FieldName]: Settings[(typeof changeable)[Name]] } & { changed: FieldName[] }

export const settingsTopic = 'settings'
