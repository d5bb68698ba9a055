/** Schemas of the bodies of projects and environments, and how rows become bodies. */
import { z } from 'zod'
import { type EnvironmentOverview, environmentOverviews } from '../../domain/deploys/deployment/index.ts'
import { odooInstancesOfEnvironments } from '../../domain/odoo/odoo-instance/index.ts'
import { errors } from '../../platform/errors.ts'
import type { Named, View } from '../core/index.ts'
import { id, time, timeOf, words } from './field.ts'
import { listOf } from './page.ts'
import { environmentStatuses, environmentTypes } from './vocabulary.ts'

const project = z
  .object({
    id,
    name: z.string(),
    slug: z.string(),
    description: z.string().nullable(),
    environmentCount: z.int().min(0).describe('Number of environments.'),
    instanceCount: z.int().min(0).describe('Number of Odoo instances.'),
    createdAt: time,
    updatedAt: time,
  })
  .describe('A project.')

const environment = z
  .object({
    id,
    projectId: id,
    name: z.string(),
    environmentType: words(environmentTypes),
    branch: z.string().nullable().describe('Branch that its oldest service deploys. Null without a service.'),
    status: words(environmentStatuses).describe('Status of its services.'),
    instanceId: id.nullable().describe('ID of the oldest Odoo instance. Null without one.'),
    createdAt: time,
    updatedAt: time,
  })
  .describe('An environment.')

export const projectSchemas = {
  project,
  projectList: listOf(project).describe('A page of projects, oldest first.'),
  environment,
  environmentList: listOf(environment).describe('A page of environments, oldest first.'),
}

export const projectBodies: Named[] = [
  { id: 'Project', schema: project },
  { id: 'ProjectList', schema: projectSchemas.projectList },
  { id: 'Environment', schema: environment },
  { id: 'EnvironmentList', schema: projectSchemas.environmentList },
]

type Stamped = { id: string; name: string; createdAt: Date; updatedAt: Date }
export type ProjectRow = Stamped & { slug: string; description: string | null }
export type EnvironmentRow = Stamped & { projectId: string; type: keyof typeof environmentTypes }

export const projectBody = (row: ProjectRow, counts: { environmentCount: number; instanceCount: number }): z.output<typeof project> => ({
  id: row.id,
  name: row.name,
  slug: row.slug,
  description: row.description,
  ...counts,
  createdAt: timeOf(row.createdAt),
  updatedAt: timeOf(row.updatedAt),
})

const environmentBody = (row: EnvironmentRow, seen: EnvironmentOverview, instanceId: string | null): z.output<typeof environment> => ({
  id: row.id,
  projectId: row.projectId,
  name: row.name,
  environmentType: environmentTypes[row.type],
  branch: seen.branch,
  status: environmentStatuses[seen.status],
  instanceId,
  createdAt: timeOf(row.createdAt),
  updatedAt: timeOf(row.updatedAt),
})

/** A few statements for any number of rows. An environment that was removed since it was read is left out. */
export async function environmentBodies(rows: readonly EnvironmentRow[], { ask }: View): Promise<z.output<typeof environment>[]> {
  const ids = rows.map((row) => row.id)
  const [overviews, instances] = [await ask(environmentOverviews, { ids }), await ask(odooInstancesOfEnvironments, { environmentIds: ids })]
  return rows.flatMap((row) => {
    const seen = overviews.get(row.id)
    return seen ? [environmentBody(row, seen, instances.get(row.id) ?? null)] : []
  })
}

/** Throws `not_found` if the environment was removed since it was read. */
export async function oneEnvironment(row: EnvironmentRow, view: View): Promise<z.output<typeof environment>> {
  const [body] = await environmentBodies([row], view)
  if (!body) throw errors.not_found()
  return body
}
