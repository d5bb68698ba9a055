import { ocoreDialect } from '../../../src/rest/ocore/index.ts'
import { describeDialect } from '../dialect-suite.ts'
import { ocoreKeys } from '../support.ts'

describeDialect({
  dialect: ocoreDialect,
  keys: ocoreKeys,
  textOf: (body) => (body as { error?: { message?: unknown } } | null)?.error?.message,
  async populate({ call }, { key }) {
    const project = await call('POST', '/api/projects', { key: key.ADMIN, body: { name: 'Shop' } })
    const environment = await call('POST', '/api/environments', {
      key: key.ADMIN,
      body: { projectId: project.body.id, name: 'Trial', environmentType: 'staging' },
    })
    return { projectId: project.body.id, environmentId: environment.body.id }
  },
  bodies: ({ projectId }) => ({
    createProject: { name: 'Refused' },
    createEnvironment: { projectId: projectId!, name: 'Refused', environmentType: 'staging' },
  }),
})
