/** Environment variables of a service, plain and secret. */
import { defineConcept } from '../../../platform/concept.ts'
import { check, stamped } from '../../../platform/db/constraints.ts'
import { createEnvVar, deleteEnvVar, importEnvVars, setEnvVars, updateEnvVar } from './commands.ts'
import { envVarChanged, envVarRevealed } from './events.ts'
import { valueIdentity } from './model.ts'
import { envVarListing, findEnvVar, listEnvVars, plainEnvVarValues, sliceEnvVars } from './queries.ts'
import { exportEnvVars, revealEnvVar, revealEnvVars } from './reveal.ts'
import { createWebServiceWithEnvVars } from './with-service.ts'

export { createEnvVar, deleteEnvVar, importEnvVars, setEnvVars, updateEnvVar } from './commands.ts'
export { envVarChanged, envVarRevealed } from './events.ts'
export { bulkSchema, valueIdentity } from './model.ts'
export { envVarsByService, listEnvVars, plainEnvVarValues, sliceEnvVars } from './queries.ts'
export { exportEnvVars, markEnvVarsRevealed, openEnvVar, publishReveal, revealEnvVar, revealEnvVars } from './reveal.ts'
export { createWebServiceWithEnvVars } from './with-service.ts'
export { writeEnvVars } from './write.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    EnvVar: 'var'
  }
}

export const envVar = defineConcept({
  name: 'env-var',
  idPrefixes: { EnvVar: 'var' },
  nodes: [envVarListing],
  commands: [
    createEnvVar,
    updateEnvVar,
    deleteEnvVar,
    setEnvVars,
    importEnvVars,
    exportEnvVars,
    revealEnvVar,
    revealEnvVars,
    createWebServiceWithEnvVars,
  ],
  queries: [findEnvVar, listEnvVars, sliceEnvVars, plainEnvVarValues],
  events: [envVarChanged, envVarRevealed],
  sealed: [{ table: 'env_var', key: 'id', column: 'value', identity: valueIdentity }],
  constraints: [...stamped('env_var'), check('env_var', 'key', "key ~ '^[A-Za-z_][A-Za-z0-9_]*$'")],
})
