import { z } from 'zod'
import { readAuditLog } from '../../../domain/access/audit-log/index.ts'
import { instant, queryRow, type Route, type Source } from '../../core/index.ts'
import { auditLogBody, auditLogList } from '../audit-bodies.ts'
import { defaultPageSize, pageOf } from '../page.ts'

const only = (to: string, description: string): Source => ({ to, schema: z.string(), description })

export const auditLogRoutes: Route[] = [
  queryRow({
    id: 'listAuditLogs',
    method: 'GET',
    path: '/audit-logs',
    tag: 'Audit logs',
    summary: 'List audit entries',
    description: 'Contains an entry for every request that was answered before. Exports are created in GraphQL.',
    read: readAuditLog,
    query: {
      action: only('action', 'Only entries of this action.'),
      resource_type: only('targetType', 'Only entries about objects of this type.'),
      resource_id: only('targetId', 'Only entries about this object.'),
      user_id: only('actorId', 'Only entries of this user or API key.'),
      start_date: instant('since', 'Only entries of this time or later.'),
      end_date: instant('until', 'Only entries before this time.'),
    },
    page: { size: defaultPageSize },
    status: 200,
    schema: auditLogList,
    reply: (page) => pageOf(page, page.rows.map(auditLogBody)),
  }),
]
