import { validate } from 'uuid'
import { z } from 'zod'
import { defineQuery, demandOrganization, ofOrganization } from '../../../platform/command.ts'
import { type Sql, sql } from '../../../platform/db/index.ts'
import { nilId, parseTypeId } from '../../../platform/id.ts'
import { countQuery, defineListing, listQuery } from '../../../platform/listing.ts'
import { sequenceAll } from '../../../platform/sequencer.ts'

const auditOutcomes = ['SUCCEEDED', 'DENIED', 'FAILED'] as const

/** The id of an object of any type, as a UUID. A malformed one is the id of no object. */
const anyId = z.string().transform((text) => (validate(text) ? text.toLowerCase() : (parseTypeId(text)?.uuid ?? nilId)))

export const auditFilter = {
  action: z.string().nullish(),
  targetType: z.string().nullish(),
  targetId: anyId.nullish(),
  actorId: anyId.nullish(),
  outcome: z.enum(auditOutcomes).nullish(),
  since: z.date().nullish(),
  until: z.date().nullish(),
}

/**
 * Entries are found by their ids, which begin with the time of a host's clock. `created_at` is the time of the database, so the range of ids
 * that is read is wider than the one that is asked for by this difference of clocks.
 */
const clocksDifferMs = 3_600_000

/** The lowest UUIDv7 of a time. */
const firstIdAt = (ms: number): string => {
  const digits = Math.max(0, ms).toString(16).padStart(12, '0')
  return `${digits.slice(0, 8)}-${digits.slice(8)}-0000-0000-000000000000`
}

export const auditEntryListing = defineListing({
  type: 'AuditEntry',
  noun: 'audit entry',
  description: 'Audit entries of the organization, newest first.',
  permission: 'view:audit_logs',
  order: 'newest_first',
  nameColumn: 'action',
  visible: (caller) => sql`${ofOrganization(caller, sql`t`)} and t.position is not null`,
  filter: auditFilter,
  where: ({ action, targetType, targetId, actorId, outcome, since, until }): Sql[] => [
    ...(action ? [sql`t.action = ${action}`] : []),
    ...(targetType ? [sql`t.target_type = ${targetType}`] : []),
    ...(targetId ? [sql`t.target_id = ${targetId}::uuid`] : []),
    ...(actorId ? [sql`t.actor_id = ${actorId}::uuid`] : []),
    ...(outcome ? [sql`t.outcome = ${outcome}::audit_outcome`] : []),
    // The planner uses the index of refused entries only if its condition is in the statement.
    ...(outcome && outcome !== 'SUCCEEDED' ? [sql`t.outcome <> 'SUCCEEDED'`] : []),
    ...(since ? [sql`t.created_at >= ${since} and t.id >= ${firstIdAt(since.getTime() - clocksDifferMs)}::uuid`] : []),
    ...(until ? [sql`t.created_at < ${until} and t.id < ${firstIdAt(until.getTime() + clocksDifferMs)}::uuid`] : []),
  ],
  computed: {
    // That of the entry before it or, if it has been removed, that which the chain keeps.
    previousHash: () =>
      sql`coalesce((select p.hash from audit_entry p where p.organization_id = t.organization_id and p.position = t.position - 1),
                   (select c.removed_hash from audit_chain c where c.organization_id = t.organization_id and c.removed_position = t.position - 1))`,
  },
})

export const listAuditLog = listQuery(auditEntryListing, 'auditLog')
export const countAuditLog = countQuery(auditEntryListing)

/** Runs before a list, so that it has an entry for every request that was answered before. */
export const prepareAuditLog = defineQuery({
  name: 'auditLogReady',
  description: 'Brings the audit log up to date.',
  permission: 'view:audit_logs',
  ids: {},
  input: z.object({}),
  async run({ app, caller }) {
    demandOrganization(caller, 'read the audit log')
    await sequenceAll(app)
  },
})

export const readAuditLog = defineQuery({
  ...listAuditLog,
  name: 'auditLogPage',
  description: 'Audit entries of the organization, newest first, with one for every request that was answered before.',
  async run(read, input) {
    await prepareAuditLog.run(read, {})
    return listAuditLog.run(read, input)
  },
})
