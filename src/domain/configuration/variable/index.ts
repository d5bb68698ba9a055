/** What all variables share: names, values, sizes, errors, locks, sealing and reveals. */
import { defineConcept } from '../../../platform/concept.ts'
import { variableErrors } from './errors.ts'

export { variableErrors } from './errors.ts'
export { lockProject, lockService, lockUnder } from './lock.ts'
export {
  bulkOf,
  isTooShortToRedact,
  keySchema,
  mask,
  maxEntries,
  minRedactedLength,
  modeSchema,
  reservedKeys,
  uniqueBy,
  valueSchema,
  writeWarnings,
} from './model.ts'
export { countReveal, markRevealed, type RevealedValue } from './reveal.ts'
export { sealValues } from './seal.ts'

export const variable = defineConcept({ name: 'variable', errors: [variableErrors] })
