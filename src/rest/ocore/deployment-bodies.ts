/** Schemas of the bodies of deployments, and how rows become bodies. */
import { z } from 'zod'
import { type DeploymentOverview, deploymentOverviews } from '../../domain/deploys/deployment/index.ts'
import type { Named, View } from '../core/index.ts'
import { accepted, id, time, timeOf, timeOrNull } from './field.ts'
import { listOf } from './page.ts'
import { deploymentStatuses, deploymentWordOf } from './vocabulary.ts'

const deployment = z
  .object({
    id,
    instanceId: id.describe('ID of the service that is deployed.'),
    branch: z.string().nullable(),
    commitSha: z.string().nullable().describe('Hash of the commit. Null until it is known.'),
    commitMessage: z.string().nullable(),
    commitAuthor: z.string().nullable().describe("Name of the commit's author."),
    status: z
      .enum(deploymentStatuses)
      .describe('`completed`: it went live, and may have been replaced since. `rolled_back`: a rollback replaced it by an earlier one.'),
    errorMessage: z.string().nullable().describe('Reason of the failure.'),
    durationMs: z.int().min(0).nullable().describe('Time from the start to the end, in milliseconds. Null until it has ended.'),
    createdAt: time,
    completedAt: time.nullable().describe('Time of the end, or when it went live.'),
  })
  .describe('A deployment.')

const newDeployment = deployment.extend(accepted.omit({ id: true, status: true }).shape).describe('The deployment is queued.')

const newRollback = accepted
  .extend({
    id: id.describe('ID of the new deployment, which restores the earlier one.'),
    deploymentId: id.describe('ID of the deployment that is restored.'),
    environmentId: id.nullable().describe('ID of the environment. Null if it was just deleted.'),
  })
  .describe('The rollback is queued.')

export const deploymentSchemas = {
  deployment,
  deploymentList: listOf(deployment).describe('A page of deployments, newest first.'),
  newDeployment,
  newRollback,
}

export const deploymentBodies: Named[] = [
  { id: 'Deployment', schema: deployment },
  { id: 'DeploymentList', schema: deploymentSchemas.deploymentList },
  { id: 'NewDeployment', schema: newDeployment },
  { id: 'NewRollback', schema: newRollback },
]

type Facts = Parameters<typeof deploymentWordOf>[0]

export type DeploymentRow = {
  id: string
  webServiceId: string
  branch: string | null
  commitHash: string | null
  commitMessage: string | null
  commitAuthor: string | null
  status: Facts['status']
  phase: Facts['phase']
  failureMessage: string | null
  startedAt: Date | null
  finishedAt: Date | null
  createdAt: Date
}

const bodyOf = (row: DeploymentRow, seen: DeploymentOverview | undefined): z.output<typeof deployment> => ({
  id: row.id,
  instanceId: row.webServiceId,
  branch: row.branch,
  commitSha: row.commitHash,
  commitMessage: row.commitMessage,
  commitAuthor: row.commitAuthor,
  status: deploymentWordOf(row, seen?.isRolledBack ?? false),
  errorMessage: row.failureMessage,
  durationMs: row.startedAt && row.finishedAt && row.finishedAt.getTime() - row.startedAt.getTime(),
  createdAt: timeOf(row.createdAt),
  completedAt: timeOrNull(row.finishedAt),
})

/** One statement for any number of rows. */
export async function bodiesOf(rows: readonly DeploymentRow[], { ask }: View): Promise<z.output<typeof deployment>[]> {
  const overviews = await ask(deploymentOverviews, { ids: rows.map(({ id }) => id) })
  return rows.map((row) => bodyOf(row, overviews.get(row.id)))
}

export const oneBody = async (row: DeploymentRow, view: View): Promise<z.output<typeof deployment>> => (await bodiesOf([row], view))[0]!

export const newDeploymentBody = ({ deployment: row }: { deployment: DeploymentRow }): z.output<typeof newDeployment> => ({
  ...bodyOf(row, undefined),
  message: 'Deployment queued',
})

type NewRollback = { deployment: Pick<DeploymentRow, 'id' | 'status' | 'phase'> & { restoresId: string | null } }

export async function newRollbackBody({ deployment: row }: NewRollback, { ask }: View): Promise<z.output<typeof newRollback>> {
  const overviews = await ask(deploymentOverviews, { ids: [row.id] })
  return {
    id: row.id,
    status: deploymentWordOf(row, false),
    message: 'Rollback queued',
    deploymentId: row.restoresId!,
    environmentId: overviews.get(row.id)?.environmentId ?? null,
  }
}
