import { z } from 'zod'
import { defineQuery, execute, visible } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { mask } from '../variable/index.ts'
import { revealResolvedEnv } from './commands.ts'
import { openValue, resolveServices } from './read.ts'
import { type ShownEnv, showEnv } from './resolve.ts'

export const listResolvedEnv = defineQuery({
  name: 'resolvedEnv',
  description:
    'All variables that the next deployment gives to a service, sorted by key. Secret values are masked. With `reveal`, they are revealed if the caller has the permission `reveal:secrets`, which counts as a reveal. Fails with `not_found` if the service does not exist.',
  permission: 'view:secrets',
  ids: { webServiceId: 'WebService' },
  input: z.object({ webServiceId: z.string(), reveal: z.boolean().nullish() }),
  async run(read, { webServiceId, reveal }): Promise<ShownEnv> {
    const { app, tx, caller } = read
    const service = await row<{ organizationId: string }>(
      tx,
      sql`select s.organization_id from web_service s where s.id = ${webServiceId}::uuid and ${visible(caller, sql`s`)}`,
    )
    if (!service) throw errors.not_found({ field: 'webServiceId' })
    if (reveal && caller.permissions.has('reveal:secrets')) {
      return (await execute(read, revealResolvedEnv, { webServiceId })).shown!
    }
    const resolution = (await resolveServices({ app, tx }, [webServiceId])).get(webServiceId)!
    const values = new Map<string, string>()
    for (const { key, isSecret, value } of resolution.variables) {
      values.set(key, isSecret ? mask : await openValue({ app, tx }, service.organizationId, value))
    }
    return showEnv(resolution, values)
  },
})
