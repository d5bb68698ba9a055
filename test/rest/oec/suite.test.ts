import { createApiKey } from '../../../src/domain/access/api-key/index.ts'
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
  async populate({ app, call }, { owner, key }) {
    const request = { app, caller: owner, requestId: 'test' }
    const { project } = await execute(request, createProject, { name: 'Shop' })
    const { rows } = await ask(request, listEnvironments, { projectId: project.id })
    const service = { projectId: encodeId('Project', project.id), name: 'Web', repositoryUrl: 'file:///shop' }
    const { webService } = await execute(request, createWebService, service)
    const { deployment } = await execute(request, deployWebService, { webServiceId: webService.id })
    const webhook = await call('POST', '/api/public/v1/webhooks', {
      key: key.WRITE,
      body: { url: 'https://hooks.example.com/oec', events: ['deploy.completed'] },
    })
    const { apiKey } = await execute(request, createApiKey, { name: 'old', kind: 'OEC', scope: 'READ' })
    return {
      project_id: encodeId('Project', project.id),
      environment_id: encodeId('Environment', rows[0]!.id),
      task_id: encodeId('Task', deployment.id),
      webhook_id: webhook.body.id,
      key_id: encodeId('ApiKey', apiKey.id),
    }
  },
  bodies: () => ({
    updateModules: { mode: 'update_all' },
    createWebhook: { url: 'https://hooks.example.com/refused', events: ['deploy.failed'] },
  }),
})
