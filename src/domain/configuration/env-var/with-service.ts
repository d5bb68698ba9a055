import { defineCommand, demand } from '../../../platform/command.ts'
import { createWebService, createWebServiceSchema } from '../../apps/web-service/index.ts'
import { bulkSchema, write } from './commands.ts'
import { envVarChanged } from './events.ts'

export const createWebServiceWithEnvVars = defineCommand({
  name: 'createWebServiceWithEnvVars',
  description: 'Creates a web service together with its first environment variables, all or nothing.',
  permission: createWebService.permission,
  ids: createWebService.ids,
  targetType: 'WebService',
  input: createWebServiceSchema.extend({ envVars: bulkSchema.optional() }),
  emits: [...createWebService.emits, envVarChanged],
  async run(work, { envVars = [], ...input }) {
    const { webService } = await createWebService.run(work, input, null, undefined)
    if (envVars.length > 0) {
      demand(work.caller, 'manage:secrets')
      await write(work, webService, envVars, {})
    }
    return { webService }
  },
  audited: ({ envVars = [] }) => ({ keys: envVars.map(({ key }) => key) }),
})
