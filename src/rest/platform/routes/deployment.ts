import {
  cancelDeployment,
  deployWebService,
  findDeploymentOf,
  rollbackDeployment,
  sliceDeployments,
} from '../../../domain/deploys/deployment/index.ts'
import { commandRow, queryRow, type Route, type View } from '../../core/index.ts'
import { type DeploymentRow, schemas } from '../bodies.ts'
import { deploymentBodies, oneDeployment } from '../serialize.ts'

const tag = 'Deployments'
const ofService = { query: findDeploymentOf, params: { web_service_id: 'webServiceId', deployment_id: 'id' } }

/** Existing command line clients deploy and start services by this path. */
const formerPath = '/web-services/{web_service_id}/deploy'

/** Response of a command that creates or changes a deployment. */
const theDeployment = {
  schema: schemas.deployment,
  reply: ({ deployment }: { deployment: DeploymentRow }, view: View) => oneDeployment(deployment, view),
  version: ({ deployment }: { deployment: { version: number } }) => deployment.version,
}

export const deploymentRoutes: Route[] = [
  queryRow({
    id: 'listDeployments',
    method: 'GET',
    path: '/web-services/{web_service_id}/deployments',
    tag,
    summary: 'List deployments',
    read: sliceDeployments,
    params: { web_service_id: 'webServiceId' },
    page: { size: 10 },
    status: 200,
    schema: schemas.deploymentList,
    reply: async ({ rows, total }, view) => ({ deployments: await deploymentBodies(rows, view), total }),
  }),
  commandRow({
    id: 'createDeployment',
    method: 'POST',
    path: '/web-services/{web_service_id}/deployments',
    aliases: [formerPath],
    deprecated: { paths: [formerPath], since: new Date('2026-11-27'), sunset: new Date('2028-12-01') },
    tag,
    summary: 'Deploy a web service',
    description: 'Returns immediately. Retrieve the deployment to follow its progress.',
    command: deployWebService,
    params: { web_service_id: 'webServiceId' },
    body: { branch: 'branch', commit_sha: 'commit', clear_cache: 'clearCache' },
    status: 201,
    ...theDeployment,
  }),
  queryRow({
    id: 'getDeployment',
    method: 'GET',
    path: '/web-services/{web_service_id}/deployments/{deployment_id}',
    tag,
    summary: 'Retrieve a deployment',
    read: findDeploymentOf,
    params: ofService.params,
    status: 200,
    schema: schemas.deployment,
    reply: oneDeployment,
    version: ({ version }) => version,
  }),
  commandRow({
    id: 'cancelDeployment',
    method: 'POST',
    path: '/web-services/{web_service_id}/deployments/{deployment_id}/cancel',
    tag,
    summary: 'Cancel a deployment',
    command: cancelDeployment,
    params: { deployment_id: 'id' },
    within: ofService,
    status: 200,
    ...theDeployment,
  }),
  commandRow({
    id: 'rollbackDeployment',
    method: 'POST',
    path: '/web-services/{web_service_id}/deployments/{deployment_id}/rollback',
    tag,
    summary: 'Roll back to a deployment',
    description: 'Creates a deployment that restores the release of an earlier one, and returns it.',
    command: rollbackDeployment,
    params: { deployment_id: 'deploymentId' },
    within: ofService,
    status: 201,
    ...theDeployment,
  }),
]
