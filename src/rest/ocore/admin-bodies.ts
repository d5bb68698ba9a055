/** Schemas of the bodies for administrators of the installation, and how rows become bodies. */
import { z } from 'zod'
import type { AdminUserRow } from '../../domain/access/installation/index.ts'
import type { JobRow } from '../../domain/access/job/index.ts'
import type { ChangeableSettings } from '../../domain/access/setting/index.ts'
import type { Named } from '../core/index.ts'
import { id, time, timeOf, timeOrNull, words } from './field.ts'
import { listOf } from './page.ts'
import { jobStatuses } from './vocabulary.ts'

const user = z
  .object({
    id,
    email: z.string(),
    name: z.string(),
    emailVerified: z.boolean().describe('Whether the user showed, by the link of a mail, that the address is theirs.'),
    isServerAdmin: z.boolean().describe('Whether the user is an administrator of the installation.'),
    orgCount: z.int().describe('Number of organizations that the user is a member of.'),
    totpEnabled: z.boolean(),
    lastLoginAt: time.nullable(),
    deactivatedAt: time.nullable().describe('Null for an active user.'),
    createdAt: time,
  })
  .describe('A user of the installation.')

const organization = z
  .object({ id, name: z.string(), slug: z.string(), memberCount: z.int(), createdAt: time })
  .describe('An organization of the installation.')

const settings = z
  .object({
    signUp: z.enum(['open', 'invited', 'off']).describe('Who can create an account.'),
    organizationsPerOwner: z.int().describe('Maximum number of organizations that one user may own.'),
    invitationExpiryMs: z.int().describe('How long an invitation can be accepted.'),
    storageMaxBuckets: z.int().describe('Maximum number of buckets of one organization.'),
    storageMaxBytes: z.int().describe('Maximum size of the objects of one organization.'),
    emailDailyLimit: z.int().describe('Maximum number of recipients per day that one organization may send mail to.'),
    auditRetentionMs: z.int().describe('Maximum age of audit entries.'),
    logRetentionMs: z.int().describe('Maximum age of log lines.'),
    webhookRetentionMs: z.int().describe('Maximum age of payloads and response bodies of webhooks.'),
    mailRetentionMs: z.int().describe('Maximum age of records of mails.'),
    changed: z.array(z.string()).describe('Names of the settings that were changed. Others have the value of the environment.'),
  })
  .describe('Settings that can be changed while the program runs.')

const job = z
  .object({
    id,
    type: z.string().describe('`deployment`, `backup`, `certificate`, `mail`, `webhook`, or the type of an operation.'),
    status: words(jobStatuses),
    attempts: z.int().describe('How often a worker has begun with the job.'),
    error: z.string().nullable(),
    createdAt: time,
    finishedAt: time.nullable(),
  })
  .describe('A job of a queue that has not succeeded.')

export const adminSchemas = {
  user,
  userList: listOf(user).describe('A page of users, oldest first.'),
  organizationList: listOf(organization).describe('A page of organizations, oldest first.'),
  settings,
  job,
  jobList: listOf(job).describe('A page of jobs, newest first.'),
}

export const adminBodies: Named[] = [
  { id: 'AdminUser', schema: user },
  { id: 'AdminUserList', schema: adminSchemas.userList },
  { id: 'AdminOrganization', schema: organization },
  { id: 'AdminOrganizationList', schema: adminSchemas.organizationList },
  { id: 'AdminSettings', schema: settings },
  { id: 'AdminJob', schema: job },
  { id: 'AdminJobList', schema: adminSchemas.jobList },
]

export const adminUserBody = (row: AdminUserRow): z.output<typeof user> => ({
  id: row.id,
  email: row.email,
  name: row.name,
  emailVerified: row.emailVerifiedAt !== null,
  isServerAdmin: row.isAdministrator,
  orgCount: row.organizationCount,
  totpEnabled: row.totpEnabled,
  lastLoginAt: timeOrNull(row.lastLoginAt),
  deactivatedAt: timeOrNull(row.deactivatedAt),
  createdAt: timeOf(row.createdAt),
})

type OrganizationRow = { id: string; name: string; slug: string; memberCount: number; createdAt: Date }

export const adminOrganizationBody = (row: OrganizationRow): z.output<typeof organization> => ({
  id: row.id,
  name: row.name,
  slug: row.slug,
  memberCount: row.memberCount,
  createdAt: timeOf(row.createdAt),
})

export const settingsBody = (values: ChangeableSettings): z.output<typeof settings> => values

export const jobBody = (row: JobRow): z.output<typeof job> => ({
  id: row.id,
  type: row.type,
  status: jobStatuses[row.status],
  attempts: row.attempts,
  error: row.error,
  createdAt: timeOf(row.createdAt),
  finishedAt: timeOrNull(row.finishedAt),
})
