import { expect, it } from 'vitest'
import { lintOpenapi } from '../../src/cli/openapi-lint.ts'
import { printOpenapi } from '../../src/rest/auth/index.ts'

type Document = { paths: Record<string, Record<string, Record<string, unknown>>>; components: { schemas: Record<string, object> } }

const lint = (change: (document: Document, login: Record<string, unknown>) => void) => {
  const document = JSON.parse(printOpenapi()) as Document
  change(document, document.paths['/api/auth/login']!.post!)
  return lintOpenapi('openapi.json', JSON.stringify(document))
}

it('the document of a dialect has no problem', async () => {
  expect(await lint(() => {})).toEqual([])
})

it.each([
  ['an operation without a summary', (_: Document, login: object) => Object.assign(login, { summary: undefined }), 'operation-summary'],
  [
    'a repeated operation ID',
    (_: Document, login: object) => Object.assign(login, { operationId: 'signUp' }),
    'operation-operationId-unique',
  ],
  ['a missing security', (_: Document, login: object) => Object.assign(login, { security: undefined }), 'security-defined'],
  ['an unused schema', ({ components }: Document) => Object.assign(components.schemas, { Unused: {} }), 'no-unused-components'],
  ['a dangling reference', ({ components }: Document) => Object.assign(components.schemas, { Error: undefined }), 'no-unresolved-refs'],
  ['no error response', (_: Document, login: object) => Object.assign(login, { responses: {} }), 'operation-4xx-response'],
])('%s is reported', async (_title, change, rule) => {
  const problems = await lint(change)
  expect(problems.join('\n')).toContain(`${rule}: `)
  for (const problem of problems) expect(problem).toMatch(/^openapi\.json#\//)
})
