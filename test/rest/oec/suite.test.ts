import { listEnvironments } from '../../../src/domain/apps/environment/index.ts'
import { createProject } from '../../../src/domain/apps/project/index.ts'
import { createWebService } from '../../../src/domain/apps/web-service/index.ts'
import { deployWebService } from '../../../src/domain/deploys/deployment/index.ts'
import { ask, execute } from '../../../src/platform/command.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { oecDialect } from '../../../src/rest/oec/index.ts'
import { describeDialect } from '../dialect-suite.ts'
import { oecKeys } from '../support.ts'

describeDialect({
  dialect: oecDialect,
  keys: oecKeys,
  textOf: (body) => (body as { message?: unknown } | null)?.message,
  async populate({ app }, { owner }) {
    const request = { app, caller: owner, requestId: 'test' }
    const { project } = await execute(request, createProject, { name: 'Shop' })
    const { rows } = await ask(request, listEnvironments, { projectId: project.id })
    const service = { projectId: encodeId('Project', project.id), name: 'Web', repositoryUrl: 'file:///shop' }
    const { webService } = await execute(request, createWebService, service)
    const { deployment } = await execute(request, deployWebService, { webServiceId: webService.id })
    return {
      project_id: encodeId('Project', project.id),
      environment_id: encodeId('Environment', rows[0]!.id),
      task_id: encodeId('Task', deployment.id),
    }
  },
  bodies: () => ({ updateModules: { mode: 'update_all' } }),
})
