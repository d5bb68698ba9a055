/** The audit log: reads, verifies, exports and expires the entries that the platform writes with every change. */
import { defineConcept } from '../../../platform/concept.ts'
import { organizationContents, rowsOfAccess } from '../organization/index.ts'
import { exportAuditLog } from './export.ts'
import { removeOldEntries } from './jobs.ts'
import { auditEntryListing, countAuditLog, listAuditLog, prepareAuditLog, readAuditLog } from './queries.ts'
import { auditLogOfOrganization } from './removal.ts'
import { verifyAuditLog } from './verify.ts'

export { exportAuditLog, exportPath, openExport } from './export.ts'
export { auditEntryListing, prepareAuditLog, readAuditLog } from './queries.ts'
export { verifyAuditLog } from './verify.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    AuditEntry: 'aud'
  }
}

export const auditLog = defineConcept({
  name: 'audit-log',
  idPrefixes: { AuditEntry: 'aud' },
  nodes: [auditEntryListing],
  commands: [verifyAuditLog, exportAuditLog],
  queries: [listAuditLog, countAuditLog, prepareAuditLog, readAuditLog],
  chores: [removeOldEntries],
  extensions: [
    organizationContents.with(auditLogOfOrganization),
    organizationContents.with(rowsOfAccess('audit chain', ['audit_entry', 'audit_chain'])),
  ],
})
