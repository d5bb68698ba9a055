import { z } from 'zod'
import { exportAuditLog, readAuditLog } from '../../../domain/access/audit-log/index.ts'
import { commandRow, instant, queryRow, type Route, type Source, type Sources } from '../../core/index.ts'
import { auditExport, auditLogBody, auditLogList } from '../audit-bodies.ts'
import { timeOf } from '../field.ts'
import { defaultPageSize, pageOf } from '../page.ts'
import { exportFormats } from '../vocabulary.ts'

const only = (to: string, description: string): Source => ({ to, schema: z.string(), description })

const filters: Sources = {
  action: only('action', 'Only entries of this action.'),
  resource_type: only('targetType', 'Only entries about objects of this type.'),
  resource_id: only('targetId', 'Only entries about this object.'),
  user_id: only('actorId', 'Only entries of this user or API key.'),
  start_date: instant('since', 'Only entries of this time or later.'),
  end_date: instant('until', 'Only entries before this time.'),
}

export const auditLogRoutes: Route[] = [
  queryRow({
    id: 'listAuditLogs',
    method: 'GET',
    path: '/audit-logs',
    tag: 'Audit logs',
    summary: 'List audit entries',
    description: 'Contains an entry for every request that was answered before.',
    read: readAuditLog,
    query: filters,
    page: { size: defaultPageSize },
    status: 200,
    schema: auditLogList,
    reply: (page) => pageOf(page, page.rows.map(auditLogBody)),
  }),
  commandRow({
    id: 'exportAuditLogs',
    method: 'GET',
    path: '/audit-logs/export',
    tag: 'Audit logs',
    summary: 'Export audit entries',
    description:
      'Returns a link that downloads the entries, oldest first. The link needs no other credential, and works for 5 minutes, as long as the credential that requested it does.',
    command: exportAuditLog,
    query: {
      format: {
        to: 'format',
        words: exportFormats,
        fallback: exportFormats.CSV,
        schema: z.enum(Object.values(exportFormats)),
        description: 'CSV, or a JSON object per line.',
      },
      ...filters,
    },
    status: 200,
    schema: auditExport,
    reply: ({ url, expiresAt }) => ({ url: url!, expiresAt: timeOf(expiresAt) }),
  }),
]
