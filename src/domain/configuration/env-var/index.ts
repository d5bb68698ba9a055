/** Variables of one service, plain and secret, and the rules for keys and values that all of this floor shares. */
import { defineSealedColumn } from '../../../platform/reseal.ts'
import { valueIdentity } from './model.ts'

defineSealedColumn({ table: 'env_var', key: 'id', column: 'value', identity: valueIdentity })

export { countReveal } from './allowance.ts'
export { createEnvVar, deleteEnvVar, importEnvVars, lockService, modeSchema, setEnvVars, updateEnvVar } from './commands.ts'
export { envVarErrors } from './errors.ts'
export { envVarChanged, envVarRevealed } from './events.ts'
export {
  isShort,
  keySchema,
  mask,
  maxBulk,
  maxEntries,
  redactedLength,
  reservedKeys,
  uniqueBy,
  valueIdentity,
  valueSchema,
  writeWarnings,
} from './model.ts'
export { envVarsByService, findEnvVar, listEnvVars, plainEnvVarValues, sliceEnvVars } from './queries.ts'
export { exportEnvVars, markRevealed, openEnvVar, type RevealedValue, revealEnvVar, revealEnvVars, tellReveal } from './reveal.ts'
export { createWebServiceWithEnvVars } from './with-service.ts'
