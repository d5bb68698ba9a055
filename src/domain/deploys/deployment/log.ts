/** A deployment's log: its build and its way online. */
import { z } from 'zod'
import type { Deployment } from '../../../generated/prisma/client.ts'
import { defineQuery, demand, parseInput, type Request } from '../../../platform/command.ts'
import { errors } from '../../../platform/errors.ts'
import { ensureDeploymentLog, type LogBatch, type LogStart, logInput, readLog } from '../log/index.ts'
import { findDeployment } from './queries.ts'

/** A batch of a deployment's log. The deployment was in the caller's scope. */
export async function readDeploymentLog(request: Request, deployment: Deployment, start: LogStart): Promise<LogBatch> {
  demand(request.caller, 'view:deployments')
  const tx = request.app.db.prisma
  const log = await ensureDeploymentLog(tx, { ...deployment, deploymentId: deployment.id })
  return readLog(tx, log.id, parseInput(logInput, start))
}

/** The log that a caller asks for by the deployment's id. Throws `not_found`. */
export const findDeploymentLog = defineQuery({
  name: 'deploymentLogs',
  description: 'Log of a deployment.',
  permission: 'view:deployments',
  ids: { deploymentId: 'Deployment' },
  input: logInput.extend({ deploymentId: z.string() }),
  async run(read, { deploymentId, ...start }) {
    const deployment = await findDeployment.run(read, { id: deploymentId })
    if (!deployment) throw errors.not_found({ field: 'deploymentId' })
    const log = await ensureDeploymentLog(read.tx, { ...deployment, deploymentId })
    return { logId: log.id, start }
  },
})
