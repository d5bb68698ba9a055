/** Declarations of errors, events and commands, compared with the APIs that offer them. */
import { glob } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { getNamedType, isInputObjectType } from 'graphql'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { graphqlErrors } from '../../src/graphql/error.ts'
import { administration, permissions } from '../../src/platform/access.ts'
import { type AnyCommand, type AnyQuery, defineConcept, emittersOf } from '../../src/platform/concept.ts'
import { bridgeDialect } from '../../src/rest/bridge/index.ts'
import { ocoreDialect } from '../../src/rest/ocore/index.ts'
import { oecDialect } from '../../src/rest/oec/index.ts'
import { platformDialect } from '../../src/rest/platform/index.ts'
import { commands, concepts, domain, idTypes, queries, schema } from './support.ts'

const root = dirname(dirname(import.meta.dirname))

describe('errors', () => {
  it.each([...domain.errors, ...Object.entries(graphqlErrors)])('%s is in snake_case and has a sentence as its text', (code, { text }) => {
    expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/)
    expect(text).toMatch(/^[A-Z].*\.$/)
  })
})

describe('events', () => {
  it.each(domain.eventTypes.all.map((event) => [event.type, event] as const))(
    '%s has a name, a description, and a sample that fits its schema',
    (type, event) => {
      expect(type).toMatch(/^[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*$/)
      expect(event.version).toBeGreaterThanOrEqual(1)
      expect(event.description).toMatch(/^[A-Z].*\.$/)
      expect(idTypes).toContain(event.subject)
      expect(event.schema.parse(event.sample)).toEqual(event.sample)
      expect(JSON.parse(JSON.stringify(event.sample))).toEqual(event.sample)
    },
  )

  it.each(domain.eventTypes.all.map((event) => [event.type, event] as const))(
    '%s is printable as JSON Schema, with a description of every field',
    (_type, event) => {
      const printed = z.toJSONSchema(event.schema) as { type: string; properties: Record<string, { description?: string }> }
      expect(printed.type).toBe('object')
      expect(
        Object.entries(printed.properties)
          .filter(([, field]) => !field.description)
          .map(([name]) => name),
      ).toEqual([])
    },
  )

  /** Sent by `sendTestWebhook` to one endpoint and never published. */
  const elsewhere = ['webhook.test']
  const withoutEmitter = (all: typeof concepts): string[] => {
    const emitted = new Set(all.flatMap(emittersOf).flatMap(({ emits }) => emits))
    return all.flatMap(({ events }) => events.filter((event) => !emitted.has(event)).map(({ type }) => type))
  }

  it('every type is emitted by a command, a reaction or a job', () => {
    expect(withoutEmitter(concepts)).toEqual(elsewhere)
  })

  it('a type that nothing emits is noticed', () => {
    const [event] = domain.eventTypes.all
    const orphan = defineConcept({ name: 'orphan', events: [{ ...event!, type: 'orphan.left' }] })
    expect(withoutEmitter([...concepts, orphan])).toEqual([...elsewhere, 'orphan.left'])
  })
})

/** Every command and query that a module of a concept exports. */
async function exportedOperations(): Promise<{ file: string; operation: AnyCommand | AnyQuery }[]> {
  const found: { file: string; operation: AnyCommand | AnyQuery }[] = []
  for await (const file of glob('src/domain/*/*/*.ts', { cwd: root })) {
    if (/\/graphql[a-z-]*\.ts$/.test(file)) continue
    const exported = Object.values((await import(pathToFileURL(join(root, file)).href)) as Record<string, unknown>)
    for (const value of exported) if (isOperation(value)) found.push({ file, operation: value })
  }
  return found
}

const isOperation = (value: unknown): value is AnyCommand | AnyQuery =>
  typeof value === 'object' && value !== null && 'run' in value && 'ids' in value && 'input' in value

describe('commands and queries', () => {
  it('every one that a concept defines is declared by it', async () => {
    const operations = await exportedOperations()
    expect(operations.length).toBeGreaterThan(60)
    const declared = new Set<unknown>([...commands.values(), ...queries.values()])
    expect(
      operations.filter(({ operation }) => !declared.has(operation)).map(({ file, operation }) => `${operation.name} in ${file}`),
    ).toEqual([])
  })

  const shapeOf = (input: z.ZodType): string[] => (input instanceof z.ZodObject ? Object.keys(input.shape) : [])
  const mutations = schema.getMutationType()!.getFields()
  /** Input fields of the command's mutation, or null if it has none. */
  const offered = (name: string): string[] | null => {
    const input = mutations[name] && getNamedType(mutations[name].args[0]!.type)
    return isInputObjectType(input) ? Object.keys(input.getFields()) : null
  }
  const routes = [...platformDialect.routes, ...oecDialect.routes, ...ocoreDialect.routes, ...bridgeDialect.routes]
  const routed = (name: string): string[] =>
    routes
      .filter((route) => route.name === name)
      .flatMap((route) => [route.params, route.query, route.body].flatMap((sources) => Object.values(sources ?? {})))
      .map((source) => (typeof source === 'string' ? source : source.to))
  /** The path of an id begins with the field that contains it. */
  const idFields = (ids: object) => Object.keys(ids).map((path) => path.split('.')[0]!)

  it('has a description and a permission that exists', () => {
    const known = new Set<string>([...permissions, administration])
    for (const command of commands.values()) {
      expect({
        name: command.name,
        permission: command.permission === null || known.has(command.permission),
        described: /^[A-Z].*\.$/.test(command.description),
      }).toEqual({
        name: command.name,
        permission: true,
        described: true,
      })
    }
    for (const query of queries.values()) expect(query.permission === null || known.has(query.permission)).toBe(true)
  })

  /** Commands whose input contains that of another command: a field of both is offered if either offers it. */
  const alike = [['createWebService', 'createWebServiceWithEnvVars']]
  const alikeTo = (name: string) => alike.find((names) => names.includes(name)) ?? [name]

  it('every command, and every field of its input, is offered by an API', () => {
    const unoffered = [...commands.values()].flatMap((command) => {
      const doorsOf = (name: string) => [...(offered(name) ?? []), ...routed(name)]
      if (doorsOf(command.name).length === 0) return [command.name]
      const doors = alikeTo(command.name).flatMap(doorsOf)
      return [...new Set([...shapeOf(command.input), ...idFields(command.ids)])]
        .filter((field) => !doors.includes(field))
        .map((field) => `${command.name}.${field}`)
    })
    expect(unoffered).toEqual([])
  })

  it('no API offers a field that its command ignores', () => {
    const dropped = [...commands.values()].flatMap((command) => {
      const taken = new Set([...shapeOf(command.input), ...idFields(command.ids), 'idempotencyKey', 'ifVersion'])
      return [...(offered(command.name) ?? []), ...routed(command.name)]
        .filter((field) => !taken.has(field))
        .map((field) => `${command.name}.${field}`)
    })
    expect(dropped).toEqual([])
  })

  it('every mutation is a command', () => {
    expect(Object.keys(mutations).filter((name) => !commands.has(name))).toEqual([])
  })
})
