/** Random valid operations of a schema, with aliases, merged fields, fragments of all kinds and directives with and without variables. */
import {
  type GraphQLArgument,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLSchema,
  getNamedType,
  isAbstractType,
  isLeafType,
  isObjectType,
  isRequiredArgument,
  isUnionType,
  type OperationTypeNode,
} from 'graphql'

/** A whole number below a limit. */
export type Random = (below: number) => number

/** Equal numbers for equal seeds. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

export type Generated = { source: string; variables: Record<string, unknown> }

export type GeneratorOptions = {
  schema: GraphQLSchema
  kind: 'query' | 'mutation' | 'subscription'
  random: Random
  depth: number
  /** The text of an argument's value; undefined to leave it out. It may use the declared variables. */
  argument: (arg: GraphQLArgument, field: GraphQLField<unknown, unknown>) => string | undefined
  /** Declarations and values of variables beside those of directives. All of them must be used. */
  declared?: { text: string; values: Record<string, unknown> }
  /** Fields that are not selected. */
  omit?: (field: GraphQLField<unknown, unknown>) => boolean
}

const flags = ['flag0', 'flag1', 'flag2']

export function generateOperation({ schema, kind, random, depth, argument, declared, omit = () => false }: GeneratorOptions): Generated {
  const fragments: { name: string; on: GraphQLCompositeType; text: string }[] = []
  const usedFlags = new Set<string>()
  const chance = (percent: number) => random(100) < percent
  const oneOf = <Item>(items: readonly Item[]): Item => items[random(items.length)]!

  function directive(): string {
    if (!chance(15)) return ''
    const name = oneOf(['skip', 'include'])
    if (chance(20)) return ` @${name}(if: ${oneOf(['true', 'false'])})`
    const flag = oneOf(flags)
    usedFlags.add(flag)
    return ` @${name}(if: $${flag})`
  }

  function fieldText(field: GraphQLField<unknown, unknown>, left: number, directives = directive()): string {
    const args = field.args.flatMap((arg) => {
      const value = isRequiredArgument(arg) || chance(50) ? argument(arg, field) : undefined
      return value === undefined ? [] : [`${arg.name}: ${value}`]
    })
    const given = args.length > 0 ? `(${args.join(', ')})` : ''
    // Fields with the same key must have the same arguments.
    const alias = given ? `${field.name}_${hashOf(given).toString(36)}: ` : chance(20) ? `also_${field.name}: ` : ''
    const named = getNamedType(field.type)
    const selected = isLeafType(named) ? '' : ` ${selection(named as GraphQLCompositeType, left - 1)}`
    return `${alias}${field.name}${given}${directives}${selected}`
  }

  function fragment(type: GraphQLCompositeType, left: number): string {
    const on = chance(60) ? type : oneOf(related(schema, type))
    if (chance(50)) return `...${chance(70) || on !== type ? ` on ${on.name}` : ''}${directive()} ${selection(on, left)}`
    const known = fragments.filter((other) => other.on === on)
    if (known.length > 0 && chance(40)) return `...${oneOf(known).name}${directive()}`
    const text = selection(on, left)
    const name = `F${fragments.length}`
    fragments.push({ name, on, text })
    return `...${name}${directive()}`
  }

  function selection(type: GraphQLCompositeType, left: number): string {
    const all = isUnionType(type) ? [] : Object.values(type.getFields()).filter((field) => !omit(field))
    const fields = left > 0 ? all : all.filter((field) => isLeafType(getNamedType(field.type)))
    const parts = Array.from({ length: 1 + random(5) }, () => {
      if (left > 0 && chance(20)) return fragment(type, left - 1)
      if (fields.length === 0 || chance(10)) return `${chance(30) ? 'kind: ' : ''}__typename`
      return fieldText(oneOf(fields), left)
    })
    return `{ ${parts.join(' ')} }`
  }

  const root = schema.getRootType(kind as OperationTypeNode)!
  // A subscription has one field, which is never skipped.
  const body = kind === 'subscription' ? `{ ${fieldText(oneOf(Object.values(root.getFields())), depth, '')} }` : selection(root, depth)
  const variables = Object.fromEntries([...usedFlags].map((flag) => [flag, chance(50)]))
  const declarations = [...[...usedFlags].map((flag) => `$${flag}: Boolean!`), ...(declared ? [declared.text] : [])].join(', ')
  const definitions = fragments.map(({ name, on, text }) => `fragment ${name} on ${on.name} ${text}`)
  return {
    source: [`${kind}${declarations ? ` (${declarations})` : ''} ${body}`, ...definitions].join('\n'),
    variables: { ...variables, ...declared?.values },
  }
}

/** Types that a fragment within a type can be on. */
function related(schema: GraphQLSchema, type: GraphQLCompositeType): readonly GraphQLCompositeType[] {
  const inside = isAbstractType(type) ? schema.getPossibleTypes(type) : []
  const above = isUnionType(type) ? [] : type.getInterfaces()
  const beside = isObjectType(type) ? [] : inside.flatMap((one) => one.getInterfaces())
  return [...inside, ...above, ...beside, type]
}

export function hashOf(text: string): number {
  let hash = 2_166_136_261
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 16_777_619)
  return hash >>> 0
}
