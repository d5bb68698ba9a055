/** Events as this contract's webhooks send them: `{event, timestamp, data}`, with the contract's names of events and statuses. */
import { findWebService } from '../../domain/apps/web-service/index.ts'
import type { BodyEvent } from '../../domain/webhooks/endpoint/index.ts'
import type { ContractBody } from '../../domain/webhooks/endpoint/ports.ts'
import { systemCaller } from '../../platform/access.ts'
import { ask } from '../../platform/command.ts'
import { encodeId } from '../../platform/id.ts'
import type { App } from '../../platform/work.ts'
import { environmentTypes, environmentWords, eventWordOf } from './vocabulary.ts'

type EnvironmentData = {
  environmentId: string
  projectId: string
  name: string
  type: keyof typeof environmentTypes
  status?: keyof typeof environmentWords
  formerStatus?: keyof typeof environmentWords
}

type DeploymentData = {
  deploymentId: string
  webServiceId: string
  projectId: string
  branch: string | null
  commitHash: string | null
  failure: { message: string } | null
}

export const createWebhookBody = (app: App): ContractBody => ({
  async print({ type, timestamp, data }, organizationId) {
    return JSON.stringify({ event: eventWordOf(type), timestamp, data: await dataOf(app, { type, timestamp, data }, organizationId) })
  },
})

/** The data of an event without a name in this contract is sent as it is. */
async function dataOf(app: App, { type, data }: BodyEvent, organizationId: string): Promise<unknown> {
  if (eventWordOf(type) === type && !type.startsWith('environment.')) return data
  return type.startsWith('environment.')
    ? environmentData(data as EnvironmentData)
    : deploymentData(app, data as DeploymentData, organizationId)
}

const environmentData = ({ environmentId, projectId, name, type, status, formerStatus }: EnvironmentData) => ({
  environment_id: environmentId,
  project_id: projectId,
  name,
  environment_type: environmentTypes[type],
  ...(status && formerStatus ? { status: environmentWords[status], previous_status: environmentWords[formerStatus] } : {}),
})

/** `environment_id` is null once the service was removed. */
async function deploymentData(app: App, data: DeploymentData, organizationId: string) {
  const request = { app, caller: systemCaller(organizationId), requestId: 'webhook' }
  const service = await ask(request, findWebService, { id: data.webServiceId })
  return {
    deployment_id: data.deploymentId,
    environment_id: service && encodeId('Environment', service.environmentId),
    service_id: data.webServiceId,
    project_id: data.projectId,
    branch: data.branch,
    commit: data.commitHash,
    error_message: data.failure?.message ?? null,
  }
}
