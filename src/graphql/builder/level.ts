/** Values that are the same for all rows of a level of an operation, and are computed once. */
import type { FieldNode, GraphQLResolveInfo } from 'graphql'

/** By a field's nodes. graphql-js passes the same list for each row of a level, and a new list in each execution. */
const levels = new WeakMap<readonly FieldNode[], Map<string, unknown>>()

/** A value that depends on the arguments and the selection of a field, but not on its parent. An error is not remembered. */
export function oncePerLevel<Value>({ fieldNodes }: GraphQLResolveInfo, name: string, compute: () => Value): Value {
  let values = levels.get(fieldNodes)
  if (!values) {
    values = new Map()
    levels.set(fieldNodes, values)
  }
  let value = values.get(name) as Value | undefined
  if (value === undefined) {
    value = compute()
    values.set(name, value)
  }
  return value
}
