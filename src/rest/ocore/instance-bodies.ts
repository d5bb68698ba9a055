import { z } from 'zod'
import { type OdooInstanceRow, odooInstanceOverviews } from '../../domain/odoo/odoo-instance/index.ts'
import { errors } from '../../platform/errors.ts'
import type { Named, View } from '../core/index.ts'
import { id, time, timeOf, words } from './field.ts'
import { listOf } from './page.ts'
import { instanceStatuses, odooEditions } from './vocabulary.ts'

const instance = z
  .object({
    id,
    name: z.string(),
    slug: z.string().describe('Slug, the first label of the host name.'),
    odooVersion: z.string().describe('Version of Odoo, such as `17.0`.'),
    odooEdition: words(odooEditions),
    serverId: id.nullable().describe('ID of the local server, which runs all instances.'),
    projectId: id,
    environmentId: id,
    status: words(instanceStatuses),
    statusMessage: z.string().nullable().describe('Why the instance is not running, with the status `error`.'),
    url: z.string().describe('Address of the instance.'),
    workers: z.int().min(0).describe('Number of worker processes.'),
    addonsPath: z.string().nullable().describe('Directories of addons in the repository. Null means that they are found.'),
    httpPort: z.int().nullable().describe('Port of the running server on its machine.'),
    envVars: z
      .record(z.string(), z.string())
      .describe('Environment variables, with masked values. Empty without the permission `view:secrets`.'),
    createdAt: time,
    updatedAt: time,
  })
  .describe('An Odoo instance.')

export const instanceSchemas = { instance, instanceList: listOf(instance).describe('A page of Odoo instances, oldest first.') }

export const instanceBodies: Named[] = [
  { id: 'Instance', schema: instance },
  { id: 'InstanceList', schema: instanceSchemas.instanceList },
]

/** One statement for any number of rows. An instance that was removed since it was read is left out. */
export async function bodiesOfInstances(rows: readonly OdooInstanceRow[], { ask }: View): Promise<z.output<typeof instance>[]> {
  const overviews = await ask(odooInstanceOverviews, { ids: rows.map((row) => row.id) })
  return rows.flatMap((row) => {
    const seen = overviews.get(row.id)
    if (!seen) return []
    const { name, slug, serverId, status, statusMessage, url, httpPort, envVars } = seen
    return {
      ...{ id: row.id, name, slug, odooVersion: row.odooVersion, odooEdition: odooEditions[row.edition], serverId },
      ...{ projectId: row.projectId, environmentId: row.environmentId, status: instanceStatuses[status], statusMessage, url },
      ...{ workers: row.workers, addonsPath: row.addonsPath, httpPort, envVars },
      ...{ createdAt: timeOf(row.createdAt), updatedAt: timeOf(row.updatedAt) },
    }
  })
}

/** Throws `not_found` if the instance was removed since it was read. */
export async function oneInstance(row: OdooInstanceRow, view: View): Promise<z.output<typeof instance>> {
  const [body] = await bodiesOfInstances([row], view)
  if (!body) throw errors.not_found()
  return body
}
