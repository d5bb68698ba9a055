/** Which variables a service receives, and why: the resolver, how its input is read, and how its result is shown. Owns no table. */
import { defineConcept } from '../../../platform/concept.ts'
import { revealResolvedEnv } from './commands.ts'
import { listResolvedEnv } from './queries.ts'

export { revealResolvedEnv } from './commands.ts'
export { listResolvedEnv } from './queries.ts'
export { openValue, resolveServices } from './read.ts'
export {
  type Bound,
  type Candidate,
  type Facts,
  type Resolution,
  resolve,
  type ScopedSecret,
  type ShadowReason,
  type ShownVariable,
  type Source,
  type SourceKind,
  type ValueHandle,
  type Variable,
  warningsOf,
} from './resolve.ts'
export { type GivenVariable, type Revision, type VariableSource, variableSources } from './source.ts'

export const resolution = defineConcept({
  name: 'resolution',
  commands: [revealResolvedEnv],
  queries: [listResolvedEnv],
})
