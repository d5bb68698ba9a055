/** Schemas of the contract's bodies, and how rows become bodies. Those of a service's configuration are in configuration-bodies.ts. */
import { z } from 'zod'
import type { SettingColumns } from '../../domain/apps/web-service/index.ts'
import type { ServiceOverview } from '../../domain/deploys/deployment/index.ts'
import type { LogLine } from '../../domain/deploys/log/index.ts'
import type { Named } from '../core/index.ts'
import { listedDatabase, listedRedis } from './database-bodies.ts'
import { id, time, timeOf, timeOrNull, total, words } from './field.ts'
import {
  deploymentStatuses,
  deploymentStatusOf,
  environmentTypes,
  projectTypes,
  serviceSettingFields,
  serviceStatuses,
  serviceStatusOf,
  sourceTypes,
  triggerTypes,
} from './vocabulary.ts'

const serviceSummary = z
  .object({ web_services: z.int(), postgresql: z.int(), redis: z.int(), object_storage: z.int(), email: z.int() })
  .describe('Number of services in the project, by kind.')

const project = z
  .object({
    id,
    name: z.string(),
    description: z.string().nullable(),
    workspace_id: id.describe('ID of the organization.'),
    service_summary: serviceSummary,
    created_at: time,
    updated_at: time,
  })
  .describe('A project.')

const projectList = z.object({ projects: z.array(project), total }).describe('List of projects.')

const webService = z
  .object({
    id,
    name: z.string(),
    status: z.enum(serviceStatuses),
    url: z.string().nullable().describe('URL of the service at the router. Null for a worker.'),
    subdomain: z.string().describe("First label of the service's host name."),
    project_id: id,
    project_type: words(projectTypes),
    environment: words(environmentTypes),
    source_type: words(sourceTypes),
    ...serviceSettingFields.shape,
    github_repo_full_name: z
      .string()
      .nullable()
      .describe('Name of the repository on GitHub, as `owner/name`. Null if it is not on GitHub.'),
    created_at: time,
    updated_at: time,
  })
  .describe('A web service, static site or worker.')

const webServiceList = z.object({ web_services: z.array(webService), total }).describe('List of web services.')

const projectDetail = project
  .extend({ web_services_list: z.array(webService), databases_list: z.array(listedDatabase), redis_list: z.array(listedRedis) })
  .describe('A project with its web services, databases and Redis instances.')

const logText = z.string().describe('Log lines as `<ISO 8601 timestamp> <message>`, each followed by a line feed.')

const serviceLogs = z
  .object({
    logs: logText,
    container_id: id.nullable().describe('ID of the instance that wrote the last line.'),
    timestamp: time.describe('Time when the log was read.'),
  })
  .describe('Log of a web service.')

const deployment = z
  .object({
    id,
    web_service_id: id,
    status: z.enum(deploymentStatuses),
    branch: z.string().nullable(),
    commit_sha: z.string().nullable(),
    commit_message: z.string().nullable(),
    image_ref: z.null(),
    is_live: z.boolean(),
    trigger_type: words(triggerTypes),
    build_logs: logText.describe('Last part of the deployment log: at most 256 KiB, or 8 KiB in a list.'),
    error_message: z.string().nullable(),
    rollback_from_deployment_id: id.nullable().describe('ID of the deployment that a rollback restores. Null for other deployments.'),
    started_at: time.nullable(),
    finished_at: time.nullable(),
    created_at: time,
  })
  .describe('A deployment.')

const deploymentList = z.object({ deployments: z.array(deployment), total }).describe('List of deployments, newest first.')

const error = z.object({ detail: z.string().describe('Human-readable description of the error.') }).describe('An error.')

export const schemas = { project, projectList, projectDetail, webService, webServiceList, serviceLogs, deployment, deploymentList }

export const bodies: Named[] = [
  { id: 'Project', schema: project },
  { id: 'ProjectList', schema: projectList },
  { id: 'ProjectDetail', schema: projectDetail },
  { id: 'WebService', schema: webService },
  { id: 'WebServiceList', schema: webServiceList },
  { id: 'ServiceLogs', schema: serviceLogs },
  { id: 'Deployment', schema: deployment },
  { id: 'DeploymentList', schema: deploymentList },
]
export const errorBody: Named = { id: 'Error', schema: error }

export type Body<Name extends keyof typeof schemas> = z.infer<(typeof schemas)[Name]>

type ProjectRow = { id: string; organizationId: string; name: string; description: string | null; createdAt: Date; updatedAt: Date }

type ServiceCounts = { webServices: number; databases: number; redis: number; buckets: number; emailServices: number }

export const projectBody = (
  row: ProjectRow,
  { webServices, databases, redis, buckets, emailServices }: ServiceCounts,
): Body<'project'> => ({
  id: row.id,
  name: row.name,
  description: row.description,
  workspace_id: row.organizationId,
  service_summary: { web_services: webServices, postgresql: databases, redis, object_storage: buckets, email: emailServices },
  created_at: timeOf(row.createdAt),
  updated_at: timeOf(row.updatedAt),
})

export type ServiceRow = SettingColumns & {
  id: string
  projectId: string
  name: string
  slug: string
  kind: keyof typeof projectTypes
  desiredState: 'RUNNING' | 'STOPPED' | 'DELETED'
  createdAt: Date
  updatedAt: Date
}

/** Overview of a service that was removed after its row was read, such as in a repeated idempotent response. */
const overviewOfRemoved: ServiceOverview = {
  environmentType: 'PRODUCTION',
  runtimeStatus: 'STOPPED',
  isLive: false,
  isDeploying: false,
  isRestarting: false,
  newestStatus: null,
  url: null,
}

export const webServiceBody = (row: ServiceRow, seen: ServiceOverview = overviewOfRemoved): Body<'webService'> => ({
  id: row.id,
  name: row.name,
  status: serviceStatusOf(row.desiredState, seen),
  url: seen.url,
  subdomain: row.slug,
  project_id: row.projectId,
  project_type: projectTypes[row.kind],
  environment: environmentTypes[seen.environmentType],
  source_type: sourceTypes[row.sourceType],
  ...serviceSettingFields.body(row),
  github_repo_full_name: githubName(row.repositoryUrl),
  created_at: timeOf(row.createdAt),
  updated_at: timeOf(row.updatedAt),
})

const githubName = (url: string | null): string | null =>
  /^(?:https?:\/\/|ssh:\/\/(?:\w+@)?|(?:\w+@))github\.com[/:]([^/]+\/[^/]+?)(?:\.git)?\/?$/i.exec(url ?? '')?.[1] ?? null

export const projectDetailBody = (
  row: ProjectRow,
  services: Body<'webService'>[],
  databases: z.infer<typeof listedDatabase>[],
  redis: z.infer<typeof listedRedis>[],
  buckets: number,
  emailServices: number,
): Body<'projectDetail'> => ({
  ...projectBody(row, { webServices: services.length, databases: databases.length, redis: redis.length, buckets, emailServices }),
  web_services_list: services,
  databases_list: databases,
  redis_list: redis,
})

const textOf = (lines: readonly LogLine[]): string => lines.map((line) => `${line.at.toISOString()} ${line.message}\n`).join('')

export const serviceLogsBody = (lines: readonly LogLine[], now: Date): Body<'serviceLogs'> => ({
  logs: textOf(lines),
  container_id: lines.at(-1)?.instanceId ?? null,
  timestamp: timeOf(now),
})

export type DeploymentRow = Parameters<typeof deploymentStatusOf>[0] & {
  id: string
  webServiceId: string
  branch: string | null
  commitHash: string | null
  commitMessage: string | null
  trigger: keyof typeof triggerTypes
  failureMessage: string | null
  restoresId: string | null
  startedAt: Date | null
  finishedAt: Date | null
  createdAt: Date
}

export const deploymentBody = (row: DeploymentRow, log: readonly LogLine[] = []): Body<'deployment'> => ({
  id: row.id,
  web_service_id: row.webServiceId,
  status: deploymentStatusOf(row),
  branch: row.branch,
  commit_sha: row.commitHash,
  commit_message: row.commitMessage,
  image_ref: null,
  is_live: row.status === 'LIVE',
  trigger_type: triggerTypes[row.trigger],
  build_logs: textOf(log),
  error_message: row.failureMessage,
  rollback_from_deployment_id: row.restoresId,
  started_at: timeOrNull(row.startedAt),
  finished_at: timeOrNull(row.finishedAt),
  created_at: timeOf(row.createdAt),
})
