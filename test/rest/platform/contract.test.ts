import { describe, expect, it } from 'vitest'
import { permissionsOfKey } from '../../../src/domain/access/api-key/index.ts'
import { pathsOf } from '../../../src/rest/core/index.ts'
import { platformDialect, printOpenapi } from '../../../src/rest/platform/index.ts'
import { commands, queries } from '../../contract/support.ts'
import { contractRows } from './contract-rows.ts'

const scopes = ['READ', 'WRITE', 'ADMIN'] as const

type Schema = { $ref?: string; required?: string[] }
type Document = {
  paths: Record<string, Record<string, { responses: Record<string, { content?: Record<string, { schema: Schema }> }> }>>
  components: { schemas: Record<string, Schema> }
}
const document = JSON.parse(printOpenapi()) as Document

describe('the contract', () => {
  it.each(contractRows)('%s %s answers %i with the fields of the contract', (method, path, status, fields) => {
    const { responses } = document.paths[`/api${path}`]![method.toLowerCase()]!
    const success = Object.keys(responses).filter((code) => code.startsWith('2'))
    // With its code, a sandbox recipient is not added but verified.
    expect(success).toEqual(path.endsWith('/sandbox-emails') ? ['200', '201'] : [String(status)])
    const reference = responses[status]!.content?.['application/json']?.schema.$ref
    const schema = reference === undefined ? null : document.components.schemas[reference.split('/').at(-1)!]!
    expect(schema?.required ?? null).toEqual(fields === null ? null : expect.arrayContaining(fields))
  })

  it.each(contractRows)('%s %s is for those whom the contract names', (method, path, _status, _fields, auth) => {
    const { name, people } = platformDialect.routes.find((route) => route.method === method && pathsOf(route).includes(path))!
    const { permission } = (commands.get(name) ?? queries.get(name))!
    const allowed = scopes.filter(
      (scope) => permission === null || permissionsOfKey({ kind: 'PLATFORM', scope, permissions: [] }).has(permission),
    )
    expect(people ? [] : allowed).toEqual({ R: scopes, W: ['WRITE', 'ADMIN'], A: ['ADMIN'], P: [] }[auth])
  })

  it('no other path is served', () => {
    const served = platformDialect.routes.flatMap((route) => pathsOf(route).map((path) => `${route.method} ${path}`))
    expect(served.sort()).toEqual(contractRows.map(([method, path]) => `${method} ${path}`).sort())
  })
})
