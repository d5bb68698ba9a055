/** What a service is given, and why: the pure resolver, what feeds it, and how its result is shown. It owns no table. */
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
  type ShownEnv,
  type ShownVariable,
  type Source,
  type SourceKind,
  type ValueHandle,
  type Variable,
  warningsOf,
} from './resolve.ts'
export { type GivenVariable, type Revision, registerVariableSource, type ServiceFacts, type VariableSource } from './source.ts'
