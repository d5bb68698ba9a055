import {
  deployProject,
  findDeploymentOfProject,
  listProjectDeployments,
  rollbackDeployment,
} from '../../../domain/deploys/deployment/index.ts'
import { commandRow, queryRow, type Route } from '../../core/index.ts'
import { bodiesOf, newDeploymentBody, newRollbackBody, oneBody, deploymentSchemas as schemas } from '../deployment-bodies.ts'
import { defaultPageSize, pageOf } from '../page.ts'

const tag = 'Deployments'
const path = '/projects/{projectId}/deployments'
const onePath = `${path}/{deploymentId}`
const ofProject = { query: findDeploymentOfProject, params: { projectId: 'projectId', deploymentId: 'id' } }

export const deploymentRoutes: Route[] = [
  queryRow({
    id: 'listDeployments',
    method: 'GET',
    path,
    tag,
    summary: 'List deployments of a project',
    read: listProjectDeployments,
    params: { projectId: 'projectId' },
    page: { size: defaultPageSize },
    status: 200,
    schema: schemas.deploymentList,
    reply: async (page, view) => pageOf(page, await bodiesOf(page.rows, view)),
  }),
  commandRow({
    id: 'createDeployment',
    method: 'POST',
    path,
    tag,
    summary: 'Deploy a service of a project',
    description:
      'Deploys the newest commit of a branch, a commit, or a tag; by default, the newest commit of the branch of the service. Poll the deployment until its status is `completed`, `failed` or `cancelled`.',
    command: deployProject,
    params: { projectId: 'projectId' },
    body: {
      branch: { to: 'branch', description: 'Branch whose newest commit is deployed.' },
      commitSha: { to: 'commit', description: 'Full or abbreviated hash of the commit.' },
      tag: { to: 'tag', description: 'Tag whose commit is deployed.' },
      instanceId: { to: 'webServiceId', description: 'ID of the service. May be omitted if the project has only one.' },
    },
    status: 202,
    schema: schemas.newDeployment,
    reply: newDeploymentBody,
  }),
  queryRow({
    id: 'getDeployment',
    method: 'GET',
    path: onePath,
    tag,
    summary: 'Retrieve a deployment',
    read: findDeploymentOfProject,
    params: ofProject.params,
    status: 200,
    schema: schemas.deployment,
    reply: oneBody,
    version: ({ version }) => version,
  }),
  commandRow({
    id: 'rollbackDeployment',
    method: 'POST',
    path: `${onePath}/rollback`,
    tag,
    summary: 'Roll back to a deployment',
    description:
      'Creates a deployment that restores the release and the configuration of an earlier one. One that never went live, or is live, answers 422.',
    command: rollbackDeployment,
    params: { deploymentId: 'deploymentId' },
    within: ofProject,
    status: 202,
    schema: schemas.newRollback,
    reply: newRollbackBody,
  }),
]
