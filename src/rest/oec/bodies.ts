/** Schemas of the contract's bodies, and how rows become bodies. */
import { z } from 'zod'
import type { EnvironmentOverview } from '../../domain/deploys/deployment/index.ts'
import { encodeId } from '../../platform/id.ts'
import type { Named } from '../core/index.ts'
import { idOf, idOrNull, listOf, time, timeOf, words } from './field.ts'
import { environmentStatuses, environmentTypes, environmentWordOf, worstOf } from './vocabulary.ts'

const status = z.enum(environmentStatuses)

const project = z
  .object({
    id: idOf('proj'),
    name: z.string(),
    slug: z.string(),
    environment_count: z.int().min(0).describe('Number of environments.'),
    created_at: time,
  })
  .describe('A project.')

const projectDetail = project
  .extend({
    status: status.describe("Worst status of the project's environments."),
    default_branch: z.string().nullable().describe('Branch of the oldest environment that has one.'),
    updated_at: time,
  })
  .describe('A project with its status.')

const environment = z
  .object({
    id: idOf('env'),
    name: z.string(),
    environment_type: words(environmentTypes),
    status,
    url: z.string().nullable().describe('URL of the oldest web service. Null without one.'),
    branch: z.string().nullable().describe('Branch that is deployed. Null without a service.'),
    last_commit: z.string().nullable().describe('Hash of the commit that is live, else of the one deployed last. Null if there is none.'),
    project_id: idOf('proj'),
    server_id: idOf('srv').nullable(),
    custom_domain: z.string().nullable().describe('Primary custom domain of that service, else its oldest verified one. Null without one.'),
    created_at: time,
    updated_at: time,
  })
  .describe('An environment.')

export const schemas = {
  project: projectDetail,
  projectList: listOf(project).describe('A page of projects, oldest first.'),
  environment,
  environmentList: listOf(environment).describe('A page of environments, oldest first.'),
}

export const bodies: Named[] = [
  { id: 'Project', schema: project },
  { id: 'ProjectDetail', schema: projectDetail },
  { id: 'ProjectList', schema: schemas.projectList },
  { id: 'Environment', schema: environment },
  { id: 'EnvironmentList', schema: schemas.environmentList },
]

type Stamped = { id: string; createdAt: Date; updatedAt: Date }
type ProjectRow = Stamped & { name: string; slug: string }
export type EnvironmentRow = Stamped & { name: string; type: keyof typeof environmentTypes; projectId: string }

export const projectBody = (row: ProjectRow, environmentCount: number): z.output<typeof project> => ({
  id: encodeId('Project', row.id),
  name: row.name,
  slug: row.slug,
  environment_count: environmentCount,
  created_at: timeOf(row.createdAt),
})

/** `environments` are those of the project, oldest first. */
export const projectDetailBody = (row: ProjectRow, environments: readonly EnvironmentOverview[]): z.output<typeof projectDetail> => ({
  ...projectBody(row, environments.length),
  status: worstOf(environments.map(environmentWordOf)),
  default_branch: environments.find(({ branch }) => branch !== null)?.branch ?? null,
  updated_at: timeOf(row.updatedAt),
})

export const environmentBody = (row: EnvironmentRow, seen: EnvironmentOverview): z.output<typeof environment> => ({
  id: encodeId('Environment', row.id),
  name: row.name,
  environment_type: environmentTypes[row.type],
  status: environmentWordOf(seen),
  url: seen.url,
  branch: seen.branch,
  last_commit: seen.commitHash,
  project_id: encodeId('Project', row.projectId),
  server_id: idOrNull('Server', seen.serverId),
  custom_domain: seen.customDomain,
  created_at: timeOf(row.createdAt),
  updated_at: timeOf(row.updatedAt),
})
