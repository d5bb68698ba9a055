import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createProject, findProject } from '../../../src/domain/apps/project/index.ts'
import { commandRow, type Dialect, printDocument, queryRow } from '../../../src/rest/core/index.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'

type Operation = {
  operationId: string
  description?: string
  deprecated?: boolean
  responses: Record<string, unknown>
  parameters?: { name: string; in: string }[]
  security?: unknown
  requestBody?: { content: Record<string, { schema: unknown }> }
}
type Document = {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, object>; responses: Record<string, object> }
}

const bodySchemaOf = (operation: Operation | undefined) => operation?.requestBody?.content['application/json']?.schema

const parse = (dialect: Dialect) => JSON.parse(printDocument(dialect)) as Document

describe('the printed document', () => {
  const document = parse(platformDialect)
  const operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method, operation })),
  )

  it('is the same text each time', () => {
    expect(printDocument(platformDialect)).toBe(printDocument(platformDialect))
  })

  it('names every operation once, and every parameter of its path', () => {
    const ids = operations.map(({ operation }) => operation.operationId)
    expect(new Set(ids).size).toBe(ids.length)
    for (const { path, operation } of operations) {
      const named = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path').map(({ name }) => name)
      expect(named).toEqual([...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]))
    }
  })

  it('declares 401 and 403 with the error schema for every operation', () => {
    for (const { operation } of operations) {
      for (const status of ['401', '403']) {
        const { $ref } = operation.responses[status] as { $ref: string }
        expect(document.components.responses[$ref.split('/').at(-1)!]).toMatchObject({
          content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
        })
      }
    }
  })

  it('contains no dangling reference and no unused schema', () => {
    const referred = new Set([...JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map((match) => match[1]))
    expect([...referred].sort()).toEqual(Object.keys(document.components.schemas).sort())
  })

  it('has the rules of an input field from the domain, under the name of the dialect', () => {
    expect(bodySchemaOf(document.paths['/api/web-services']!.post)).toMatchObject({
      required: ['name'],
      properties: {
        name: { type: 'string', maxLength: 100 },
        min_instances: { anyOf: [{ type: 'integer', minimum: 1, maximum: 20 }, { type: 'null' }] },
        port: { default: 8080 },
        environment: { enum: ['production', 'staging', 'development'], default: 'production' },
      },
    })
  })

  it('has the rules of list items from the domain, under the names of the dialect', () => {
    expect(bodySchemaOf(document.paths['/api/projects/{project_id}/secrets/bulk']!.put)).toMatchObject({
      required: ['secrets'],
      properties: {
        secrets: {
          type: 'array',
          maxItems: 500,
          items: {
            type: 'object',
            required: ['key', 'value'],
            properties: { key: { maxLength: 255 }, scope: { enum: ['production', 'staging', 'development'] }, is_secret: {} },
          },
        },
      },
    })
  })

  it('declares 429 for every row', () => {
    expect(operations.filter(({ operation }) => !operation.responses['429'])).toEqual([])
  })

  it('marks deprecated paths, and says until when they work', () => {
    const deprecated = operations.filter((each) => each.operation.deprecated)
    expect(deprecated.map(({ path }) => path)).toEqual(['/api/web-services/{web_service_id}/deploy'])
    expect(deprecated[0]!.operation.description).toContain('at least until 2028-12-01')
    expect(document.paths['/api/web-services/{web_service_id}/deployments']!.post!.deprecated).toBeUndefined()
  })

  it('declares no idempotency key for reveals', () => {
    const revealing = operations.filter(({ operation }) => /^reveal|^getResolvedEnv$/.test(operation.operationId))
    expect(revealing.map(({ operation }) => operation.operationId).sort()).toEqual([
      'getResolvedEnv',
      'revealDatabase',
      'revealEnvVar',
      'revealEnvVars',
      'revealRedis',
      'revealSecret',
    ])
    for (const { operation } of revealing) {
      expect((operation.parameters ?? []).filter((parameter) => parameter.in === 'header')).toEqual([])
    }
  })
})

describe('printing fails for an impossible row', () => {
  const schema = z.object({ id: z.string() })
  const dialect = (route: Dialect['routes'][number]): Dialect => ({
    ...platformDialect,
    routes: [route],
    schemas: [{ id: 'Thing', schema }],
  })
  const shape = { id: 'things', path: '/things', tag: 'Things', summary: 'Things' }

  it('with a source whose field the command does not have', () => {
    const row = commandRow({ ...shape, method: 'POST', command: createProject, body: { name: 'nmae' }, status: 204 })
    expect(() => printDocument(dialect(row))).toThrow('createProject has no field nmae')
  })

  it('with a deprecated path that is not one of its own', () => {
    const deprecated = { paths: ['/thing'], since: new Date(), sunset: new Date() }
    const row = commandRow({ ...shape, method: 'POST', command: createProject, body: { name: 'name' }, status: 204, deprecated })
    expect(() => printDocument(dialect(row))).toThrow('things has no path /thing')
  })

  it('with a response schema that has no name', () => {
    const row = queryRow({
      ...shape,
      method: 'GET',
      read: findProject,
      status: 200,
      schema: z.object({ id: z.string() }),
      reply: ({ id }) => ({ id }),
    })
    expect(() => printDocument(dialect(row))).toThrow('a schema that has no name')
  })
})
