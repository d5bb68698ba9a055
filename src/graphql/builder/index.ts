/**
 * The Pothos builder and the building blocks of every concept's GraphQL types: nodes, connections, commands as mutations. Knows no concept:
 * `domain/<floor>/<concept>/graphql.ts` imports this room, never the other way round.
 */
export { builder, type Types } from './builder.ts'
export { columnsOf, loadRows, readerOf } from './columns.ts'
export {
  checkPages,
  connectionArgs,
  connectionBelow,
  connectionOf,
  connectionTypeOf,
  nestedConnection,
  rootConnection,
} from './connection.ts'
export type { GraphqlContext } from './context.ts'
export { enumType } from './enum.ts'
export { type Followed, followRow } from './follow.ts'
export { type LevelResolver, levelResolverOf } from './level.ts'
export { Batch, Loading } from './loader.ts'
export { type CommandFace, type InputBuilder, mutation, payloadOf } from './mutation.ts'
export { findNode, findRelated, findVisible, idField, Node, timestamps, versionFields } from './node.ts'
export { makeRoom } from './room.ts'
export { settingFields } from './row-settings.ts'
