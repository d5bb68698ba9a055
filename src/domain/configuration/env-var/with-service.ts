import { defineCommand, demand, known } from '../../../platform/command.ts'
import { createWebService, createWebServiceSchema } from '../../apps/web-service/index.ts'
import { envVarChanged } from './events.ts'
import { bulkSchema } from './model.ts'
import { writeEnvVars } from './write.ts'

export const createWebServiceWithEnvVars = defineCommand({
  name: 'createWebServiceWithEnvVars',
  description: 'Creates a web service together with its first environment variables, all or nothing.',
  permission: createWebService.permission,
  ids: createWebService.ids,
  targetType: 'WebService',
  input: createWebServiceSchema.extend({ envVars: bulkSchema.optional() }),
  emits: [...createWebService.emits, envVarChanged],
  async run(work, { envVars = [], ...input }) {
    const { webService } = await known(await createWebService.run(work, input, null, undefined))
    if (envVars.length > 0) {
      demand(work.caller, 'manage:secrets')
      await writeEnvVars(work, webService, envVars, {})
    }
    return { webService }
  },
  audited: ({ envVars = [] }) => ({ keys: envVars.map(({ key }) => key) }),
})
