import { listEnvironments } from '../../../src/domain/apps/environment/index.ts'
import { createProject } from '../../../src/domain/apps/project/index.ts'
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
    return { project_id: encodeId('Project', project.id), environment_id: encodeId('Environment', rows[0]!.id) }
  },
  bodies: () => ({}),
})
