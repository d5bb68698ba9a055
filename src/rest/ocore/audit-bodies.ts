import { z } from 'zod'
import type { Named } from '../core/index.ts'
import { id, time, timeOf } from './field.ts'
import { listOf } from './page.ts'

const state = z.record(z.string(), z.unknown()).nullable()

const auditLog = z
  .object({
    id,
    action: z.string().describe('What was done, by the name of the operation in GraphQL.'),
    outcome: z.enum(['succeeded', 'denied', 'failed']),
    resourceType: z.string().nullable().describe('Type of the object, such as `Project`.'),
    resourceId: id.nullable(),
    resourceName: z.string().nullable().describe('Name of the object at the time of the action, before any change.'),
    userId: id.nullable().describe('ID of the user who acted. Null for an API key and for the system.'),
    userName: z.string().describe('Name of the user, of the API key, or of the system.'),
    ipAddress: z.string().nullable(),
    userAgent: z.string().nullable(),
    beforeState: state.describe('Fields that changed, before the action. Never contains secret values.'),
    afterState: state.describe('The same fields after the action.'),
    createdAt: time,
  })
  .describe('An entry of the audit log.')

export const auditLogList = listOf(auditLog).describe('A page of audit entries, newest first.')

export const auditExport = z
  .object({
    url: z.string().describe('Link to the file. Relative to the address of the API unless the setting `PUBLIC_URL` is set.'),
    expiresAt: time.describe('Time until which the link can be used.'),
  })
  .describe('A link to an export.')

export const auditBodies: Named[] = [
  { id: 'AuditLog', schema: auditLog },
  { id: 'AuditLogList', schema: auditLogList },
  { id: 'AuditExport', schema: auditExport },
]

const outcomes = { SUCCEEDED: 'succeeded', DENIED: 'denied', FAILED: 'failed' } as const

type EntryRow = {
  id: string
  action: string
  outcome: keyof typeof outcomes
  targetType: string | null
  targetId: string | null
  targetName: string | null
  actorType: string
  actorId: string | null
  actorName: string
  ipAddress: string | null
  userAgent: string | null
  before: unknown
  after: unknown
  createdAt: Date
}

type State = z.output<typeof state>

export const auditLogBody = (row: EntryRow): z.output<typeof auditLog> => ({
  id: row.id,
  action: row.action,
  outcome: outcomes[row.outcome],
  resourceType: row.targetType,
  resourceId: row.targetId,
  resourceName: row.targetName,
  userId: row.actorType === 'user' ? row.actorId : null,
  userName: row.actorName,
  ipAddress: row.ipAddress,
  userAgent: row.userAgent,
  beforeState: row.before as State,
  afterState: row.after as State,
  createdAt: timeOf(row.createdAt),
})
