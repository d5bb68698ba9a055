/** Long lists, which graphql-js would complete at one stretch, however many fields each of their items has. */
import { defaultFieldResolver, type GraphQLSchema, getNamedType, getNullableType, isCompositeType, isListType, isObjectType } from 'graphql'
import type { GraphqlContext } from './context.ts'

/** As many as a page has. */
const itemsAtOnce = 100

/** Lets every list of objects be completed in portions, between which others have their turn, and counts its items. */
export function paceLists(schema: GraphQLSchema): GraphQLSchema {
  const fields = Object.values(schema.getTypeMap()).flatMap((type) => (isObjectType(type) ? Object.values(type.getFields()) : []))
  for (const field of fields) {
    if (!isListType(getNullableType(field.type)) || !isCompositeType(getNamedType(field.type))) continue
    const { resolve = defaultFieldResolver } = field
    field.resolve = (parent, args, context: GraphqlContext, info) => {
      const list: unknown = resolve(parent, args, context, info)
      return list instanceof Promise ? list.then((items) => inPortions(items, context)) : inPortions(list, context)
    }
  }
  return schema
}

function inPortions(items: unknown, { pace, room }: GraphqlContext): unknown {
  if (!Array.isArray(items)) return items
  room.takeRows(items.length)
  if (items.length <= itemsAtOnce) return items
  let turn: Promise<void> = Promise.resolve()
  return items.map((item: unknown, index) => {
    if (index < itemsAtOnce) return item
    if (index % itemsAtOnce === 0) turn = turn.then(() => pace.next())
    return turn.then(() => item)
  })
}
