/** The printed schema: descriptions, the Relay specification, and the conventions of this project. */
import {
  type GraphQLField,
  type GraphQLNamedType,
  getNamedType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isListType,
  isNonNullType,
  isObjectType,
  isSpecifiedDirective,
  isSpecifiedScalarType,
} from 'graphql'
import { describe, expect, it } from 'vitest'
import { schema } from '../../src/graphql/schema.ts'
import { domain, idTypes } from './support.ts'

const ours = Object.values(schema.getTypeMap()).filter((type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type))
const objects = ours.filter(isObjectType)
const roots = [schema.getQueryType()!, schema.getMutationType()!, schema.getSubscriptionType()!]
const fieldsOf = (type: GraphQLNamedType): GraphQLField<unknown, unknown>[] =>
  isObjectType(type) || isInterfaceType(type) ? Object.values(type.getFields()) : []

function* described(): Generator<[string, string | null | undefined]> {
  for (const directive of schema.getDirectives().filter((known) => !isSpecifiedDirective(known)))
    yield [`@${directive.name}`, directive.description]
  for (const type of ours) {
    yield [type.name, type.description]
    for (const field of fieldsOf(type)) {
      yield [`${type.name}.${field.name}`, field.description]
      for (const arg of field.args) yield [`${type.name}.${field.name}(${arg.name})`, arg.description]
    }
    if (isEnumType(type)) for (const value of type.getValues()) yield [`${type.name}.${value.name}`, value.description]
    if (isInputObjectType(type))
      for (const field of Object.values(type.getFields())) yield [`${type.name}.${field.name}`, field.description]
  }
}

it('describes every type, field, argument, input field and enum value, in a sentence', () => {
  const all = [...described()]
  expect(all.length).toBeGreaterThan(300)
  expect(all.filter(([, text]) => !/^\S.*[.!?]$/s.test(text ?? '')).map(([name]) => name)).toEqual([])
})

it('gives a reason and a date for every deprecation', () => {
  const deprecated = ours.flatMap((type) => [
    ...fieldsOf(type).map((field) => [`${type.name}.${field.name}`, field.deprecationReason] as const),
    ...(isEnumType(type) ? type.getValues().map((value) => [`${type.name}.${value.name}`, value.deprecationReason] as const) : []),
  ])
  expect(deprecated.filter(([, reason]) => reason !== undefined && reason !== null && !/\d{4}-\d\d-\d\d/.test(reason))).toEqual([])
})

describe('Relay', () => {
  const connections = objects.filter((type) => type.name.endsWith('Connection'))
  const shape = (type: GraphQLNamedType | undefined) => Object.fromEntries(fieldsOf(type!).map((field) => [field.name, String(field.type)]))

  it.each(connections.map((type) => [type.name, type] as const))(
    '%s has edges, nodes, pageInfo and totalCount, and no arguments of its own',
    (name, type) => {
      const node = name.replace(/Connection$/, '')
      expect(shape(type)).toMatchObject({ edges: `[${node}Edge!]!`, nodes: `[${node}!]!`, pageInfo: 'PageInfo!', totalCount: 'Int!' })
      expect(shape(schema.getType(`${node}Edge`))).toMatchObject({ cursor: 'String!', node: `${node}!` })
      expect(fieldsOf(type).flatMap((field) => field.args)).toEqual([])
    },
  )

  it('PageInfo matches the specification', () => {
    expect(shape(schema.getType('PageInfo'))).toEqual({
      hasNextPage: 'Boolean!',
      hasPreviousPage: 'Boolean!',
      startCursor: 'String',
      endCursor: 'String',
    })
  })

  it('every field that returns a connection takes first, after, last and before', () => {
    const lists = objects.flatMap((type) => fieldsOf(type).filter((field) => getNamedType(field.type).name.endsWith('Connection')))
    expect(lists.length).toBeGreaterThan(8)
    for (const list of lists) {
      const args = Object.fromEntries(list.args.map((arg) => [arg.name, String(arg.type)]))
      expect(args).toMatchObject({ first: 'Int', after: 'String', last: 'Int', before: 'String' })
      expect(isNonNullType(list.type)).toBe(true)
    }
  })

  it('every Node is found by `node`, has its own id prefix, and has `createdAt` and `updatedAt`', () => {
    const nodes = objects.filter((type) => type.getInterfaces().some(({ name }) => name === 'Node'))
    expect(nodes.map(({ name }) => name).toSorted()).toEqual([...domain.nodes.keys()].toSorted())
    for (const node of nodes) {
      expect(idTypes).toContain(node.name)
      expect(shape(node)).toMatchObject({ id: 'ID!', createdAt: 'DateTime!', updatedAt: 'DateTime!' })
    }
    expect(String(schema.getQueryType()!.getFields().node!.type)).toBe('Node')
    expect(String(schema.getQueryType()!.getFields().nodes!.type)).toBe('[Node]!')
  })
})

describe('conventions', () => {
  const mutations = fieldsOf(schema.getMutationType()!)

  it.each(mutations.map((field) => [field.name, field] as const))(
    '%s takes one input with an idempotency key and returns a payload with an object',
    (name, field) => {
      const Name = name[0]!.toUpperCase() + name.slice(1)
      expect(field.args.map((arg) => [arg.name, String(arg.type)])).toEqual([['input', `${Name}Input!`]])
      expect(String(field.type)).toBe(`${Name}Payload`)
      const input = schema.getType(`${Name}Input`)
      expect(isInputObjectType(input) && String(input.getFields().idempotencyKey?.type)).toBe('String')
      expect(fieldsOf(getNamedType(field.type)).length).toBeGreaterThan(0)
    },
  )

  it('inputs that update or delete one object that has a version take `ifVersion`', () => {
    const hasVersion = (name: string) => fieldsOf(schema.getType(name)!).some((field) => field.name === 'version')
    const changing = mutations.filter(({ name }) => /^(update|delete)[A-Z]/.test(name) && hasVersion(name.replace(/^(update|delete)/, '')))
    expect(changing.length).toBeGreaterThan(5)
    for (const { name, args } of changing) {
      const input = getNamedType(args[0]!.type)
      expect({ name, ifVersion: isInputObjectType(input) && 'ifVersion' in input.getFields() }).toEqual({ name, ifVersion: true })
    }
  })

  it('a deletion returns the id of the deleted object', () => {
    for (const { name, type } of mutations.filter((field) => field.name.startsWith('delete'))) {
      expect({ name, deletedId: String(fieldsOf(getNamedType(type)).find((field) => field.name === 'deletedId')?.type) }).toEqual({
        name,
        deletedId: 'ID!',
      })
    }
  })

  it('lists contain no null, except `nodes`, and enum values are in capitals', () => {
    const loose = objects.flatMap((type) =>
      fieldsOf(type)
        .filter((field) => {
          const list = isNonNullType(field.type) ? field.type.ofType : field.type
          return isListType(list) && !isNonNullType(list.ofType)
        })
        .map((field) => `${type.name}.${field.name}`),
    )
    expect(loose).toEqual(['Query.nodes'])
    const values = ours.filter(isEnumType).flatMap((type) => type.getValues().map(({ name }) => name))
    expect(values.filter((name) => !/^[A-Z][A-Z0-9_]*$/.test(name))).toEqual([])
  })

  it('every type is reachable', () => {
    const reached = new Set<string>()
    const visit = (type: GraphQLNamedType) => {
      if (reached.has(type.name)) return
      reached.add(type.name)
      for (const field of fieldsOf(type)) {
        visit(getNamedType(field.type))
        for (const arg of field.args) visit(getNamedType(arg.type))
      }
      if (isInputObjectType(type)) for (const field of Object.values(type.getFields())) visit(getNamedType(field.type))
      if (isObjectType(type)) for (const known of type.getInterfaces()) visit(known)
      if (isInterfaceType(type)) for (const known of schema.getPossibleTypes(type)) visit(known)
    }
    for (const root of roots) visit(root)
    expect(ours.map(({ name }) => name).filter((name) => !reached.has(name))).toEqual([])
  })
})
