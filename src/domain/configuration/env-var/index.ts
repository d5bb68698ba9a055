/** Environment variables of a service, plain and secret. */
import { defineSealedColumn } from '../../../platform/reseal.ts'
import { valueIdentity } from './model.ts'

defineSealedColumn({ table: 'env_var', key: 'id', column: 'value', identity: valueIdentity })

export { createEnvVar, deleteEnvVar, importEnvVars, setEnvVars, updateEnvVar } from './commands.ts'
export { envVarChanged, envVarRevealed } from './events.ts'
export { valueIdentity } from './model.ts'
export { envVarsByService, findEnvVar, listEnvVars, plainEnvVarValues, sliceEnvVars } from './queries.ts'
export { exportEnvVars, markEnvVarsRevealed, openEnvVar, publishReveal, revealEnvVar, revealEnvVars } from './reveal.ts'
export { createWebServiceWithEnvVars } from './with-service.ts'
