/**
 * Levels: all rows at one place of an operation, such as the services of all projects of a page. The executor passes one `info` to all rows
 * of a level, and can resolve a field for a whole level at once. Exposed fields are read so, and those that `ofRow` declares.
 */
import SchemaBuilder, { BasePlugin, type PothosOutputFieldConfig, type SchemaTypes } from '@pothos/core'
import type { FieldNode, GraphQLResolveInfo } from 'graphql'
import type { GraphqlContext } from './context.ts'

/** The values of a field for each of the parents, in their order. A value that is an Error fails for its parent only. None is a promise. */
export type LevelResolver<Parent = unknown, Args = object> = (
  parents: readonly Parent[],
  args: Args,
  context: GraphqlContext,
  info: GraphQLResolveInfo,
) => readonly unknown[] | Promise<readonly unknown[]>

export const levelResolverOf = ({ extensions }: { extensions?: object | null }): LevelResolver | undefined =>
  (extensions as { resolveLevel?: LevelResolver } | null | undefined)?.resolveLevel

declare global {
  export namespace PothosSchemaTypes {
    export interface Plugins<Types extends SchemaTypes> {
      levels: LevelsPlugin<Types>
    }
  }
}

export class LevelsPlugin<Types extends SchemaTypes> extends BasePlugin<Types> {
  override onOutputFieldConfig(config: PothosOutputFieldConfig<Types>): PothosOutputFieldConfig<Types> {
    const name = config.extensions?.pothosExposedField
    if (typeof name !== 'string') return config
    const { extensions } = ofRow((row: Record<string, unknown>) => row[name])
    return { ...config, extensions: { ...config.extensions, ...extensions } }
  }
}

SchemaBuilder.registerPlugin('levels', LevelsPlugin)

/** A field whose value follows from the row alone. If it fails for one row, it fails for all of them. */
export const ofRow = <Row, Value>(resolve: (row: Row) => Value) => ({
  resolve,
  extensions: { resolveLevel: (rows: readonly Row[]) => rows.map((row) => resolve(row)) },
})

const levels = new WeakMap<GraphQLResolveInfo, Map<string, unknown>>()
const selections = new WeakMap<readonly FieldNode[], Map<string, unknown>>()

/** A value that depends on the arguments and the selection of a field, but not on its parent. An error is not remembered. */
export const oncePerLevel = <Value>(info: GraphQLResolveInfo, name: string, compute: () => Value): Value =>
  once(levels, info, name, compute)

/** A value that depends on the selection of a field only, including which of it is skipped. It is remembered with the operation's plan. */
export const oncePerSelection = <Value>({ fieldNodes }: GraphQLResolveInfo, name: string, compute: () => Value): Value =>
  once(selections, fieldNodes, name, compute)

function once<Owner extends object, Value>(
  known: WeakMap<Owner, Map<string, unknown>>,
  owner: Owner,
  name: string,
  compute: () => Value,
): Value {
  let values = known.get(owner)
  if (!values) {
    values = new Map()
    known.set(owner, values)
  }
  let value = values.get(name) as Value | undefined
  if (value === undefined) {
    value = compute()
    values.set(name, value)
  }
  return value
}
