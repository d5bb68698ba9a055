/**
 * What every REST dialect is served by: route tables in, requests, documents and errors out. A dialect is one object (`Dialect`);
 * nothing in this room knows a contract, and nothing of the domain but its commands and queries.
 */
export { areasOf, type Dialect, type Face, type Failure, type RequestLimit } from './dialect.ts'
export { id, time, timeOf, timeOrNull, words } from './field.ts'
export { instant } from './instant.ts'
export { faceOf, restPlugin } from './mount.ts'
export { type Named, printDocument } from './openapi.ts'
export { pickDialect } from './pick-dialect.ts'
export {
  type AnswerHeaders,
  commandRow,
  eitherRow,
  openRow,
  pathsOf,
  queryRow,
  type Route,
  type Source,
  type Sources,
  trueOrFalse,
  type View,
  type Visit,
  wholeNumber,
} from './route.ts'
export { settingFields } from './row-settings.ts'
