/** A service's runtime log, for those who may see its deployments. */
import { z } from 'zod'
import { defineQuery, visible } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { ensureServiceLog, logInput } from '../log/index.ts'

type ServiceRef = { id: string; organizationId: string }

/** The runtime log that a caller asks for by the service's id. Throws `not_found`. */
export const findServiceLog = defineQuery({
  name: 'webServiceLogs',
  description: "Log of a service's instances.",
  permission: 'view:deployments',
  ids: { webServiceId: 'WebService' },
  input: logInput.extend({ webServiceId: z.string() }),
  async run(read, { webServiceId, ...start }) {
    const service = await row<ServiceRef>(
      read.tx,
      sql`select s.id, s.organization_id from web_service s where s.id = ${webServiceId}::uuid and ${visible(read.caller, sql`s`)}`,
    )
    if (!service) throw errors.not_found({ field: 'webServiceId' })
    const log = await ensureServiceLog(read.tx, { organizationId: service.organizationId, webServiceId: service.id })
    return { logId: log.id, start }
  },
})
