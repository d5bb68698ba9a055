/** A deployment's log: its build and its way online. */
import { z } from 'zod'
import { defineQuery } from '../../../platform/command.ts'
import { errors } from '../../../platform/errors.ts'
import { ensureDeploymentLog, logInput } from '../log/index.ts'
import { findDeployment } from './queries.ts'

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
