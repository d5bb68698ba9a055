/** Splits the completion of long lists, which graphql-js would complete without yielding to the event loop. */
import { defaultFieldResolver, type GraphQLSchema, getNamedType, getNullableType, isCompositeType, isListType, isObjectType } from 'graphql'
import type { Pace } from '../../platform/pace.ts'
import type { GraphqlContext } from './context.ts'

/** The size of the largest page. */
const itemsAtOnce = 100

/** Makes every list of objects be completed in portions, between which other work can run, and counts its items. */
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
  const first = pace.next(Math.min(items.length, itemsAtOnce))
  return first ? first.then(() => portionsOf(items, pace)) : portionsOf(items, pace)
}

function portionsOf(items: readonly unknown[], pace: Pace): readonly unknown[] {
  if (items.length <= itemsAtOnce) return items
  let turn: Promise<void> = Promise.resolve()
  return items.map((item, index) => {
    if (index < itemsAtOnce) return item
    if (index % itemsAtOnce === 0) turn = turn.then(() => pace.next(itemsAtOnce))
    return turn.then(() => item)
  })
}
