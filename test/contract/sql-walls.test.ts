/**
 * The walls for SQL: what `.dependency-cruiser.mjs` is for imports. A concept writes its own tables; it reads those, the platform's,
 * those of earlier concepts, and those that its own rows refer to by foreign key. A later concept that knows more adds it to an
 * extension point.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
const { floors } = (await import(pathToFileURL(join(root, '.dependency-cruiser.mjs')).href)) as { floors: Record<string, string[]> }
const order = Object.values(floors).flat()

/** The first owner comes into being with the organization. */
const exceptions = ['access/organization/commands.ts writes user_account']

type Table = { concept: string; refersTo: Set<string> }

/** By name; the concept of a table is the file of its model, a concept of the platform when no folder of the domain has that name. */
function readTables(): Map<string, Table> {
  const texts = readdirSync(join(root, 'prisma/models')).map((file) => ({
    concept: file.replace('.prisma', ''),
    text: readFileSync(join(root, 'prisma/models', file), 'utf8'),
  }))
  const models = texts.flatMap(({ concept, text }) =>
    [...text.matchAll(/^model (\w+) \{\n([\s\S]*?)^\}/gm)].map(([, model = '', body = '']) => ({
      concept,
      model,
      name: /@@map\("(\w+)"\)/.exec(body)?.[1] ?? model,
      parents: [...body.matchAll(/^\s*\w+\s+(\w+)\??\s+@relation\((?:"\w+", )?fields:/gm)].map((match) => match[1] ?? ''),
    })),
  )
  const conceptOf = new Map(models.map(({ model, concept }) => [model, concept]))
  return new Map(
    models.map(({ concept, name, parents }) => [
      name,
      { concept, refersTo: new Set(parents.flatMap((parent) => conceptOf.get(parent) ?? [])) },
    ]),
  )
}

const tables = readTables()
const parentsOf = (concept: string) =>
  new Set([...tables.values()].filter((table) => table.concept === concept).flatMap(({ refersTo }) => [...refersTo]))

type Use = { table: string; isWrite: boolean }

/** The tables that a file names in `sql` templates. */
function usesIn(text: string): Use[] {
  const uses: Use[] = []
  const visit = (node: ts.Node) => {
    if (ts.isTaggedTemplateExpression(node) && node.tag.getText() === 'sql') {
      const { template } = node
      const parts = ts.isNoSubstitutionTemplateLiteral(template)
        ? [template.text]
        : [template.head.text, ...template.templateSpans.map(({ literal }) => literal.text)]
      uses.push(...tablesIn(parts.join('?')))
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile('file.ts', text, ts.ScriptTarget.Latest, true))
  return uses
}

function tablesIn(statement: string): Use[] {
  const plain = statement.replaceAll(/'[^']*'/g, "''")
  const listed = plain.replaceAll(/\bfor( no key)? update\b/g, '').replaceAll(/\bdo update set\b/g, '')
  return [
    ...listed.matchAll(/\b(delete from|insert into|update|from|join|using)\s+(?:only\s+|lateral\s+)?"?(\w+)"?((?:\s+\w+)?\s*,\s*\w+)*/g),
  ].flatMap(([whole, verb = '', first = '']) => {
    const further = whole.includes(',')
      ? whole
          .split(',')
          .slice(1)
          .map((part) => part.trim().split(/\s/)[0] ?? '')
      : []
    return [first, ...further]
      .filter((name) => tables.has(name))
      .map((table, index) => ({ table, isWrite: index === 0 && /^(delete|insert|update)/.test(verb) }))
  })
}

/** What a file of a concept must not name, one line each. */
function breachesOf(path: string, concept: string, text: string): string[] {
  const parents = parentsOf(concept)
  const mayRead = (owner: string) => owner === concept || parents.has(owner) || !order.includes(owner) || isBefore(owner, concept)
  return usesIn(text).flatMap(({ table, isWrite }) => {
    const owner = tables.get(table)!.concept
    if (isWrite ? owner === concept : mayRead(owner)) return []
    return [`${path} ${isWrite ? 'writes' : 'reads'} ${table}`]
  })
}

const isBefore = (one: string, other: string) => order.indexOf(one) < order.indexOf(other)

const files = Object.entries(floors).flatMap(([floor, concepts]) =>
  concepts.flatMap((concept) => {
    const folder = join(root, 'src/domain', floor, concept)
    if (!existsSync(folder)) return []
    const names = readdirSync(folder, { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile())
    return names.map(({ parentPath, name }) => ({ concept, path: relative(join(root, 'src/domain'), join(parentPath, name)) }))
  }),
)

describe('the SQL of a concept', () => {
  it('names its own tables, earlier ones and those that its rows refer to, and writes only its own', () => {
    const breaches = files.flatMap(({ concept, path }) => breachesOf(path, concept, readFileSync(join(root, 'src/domain', path), 'utf8')))
    expect([...new Set(breaches)].sort()).toEqual(exceptions)
  })

  it.each([
    [
      'reads a later table',
      'web-service',
      'sql`select 1 from web_service s where exists (select 1 from deployment d)`',
      ['reads deployment'],
    ],
    ['reads a later table in a list', 'project', 'sql`select 1 from project p, environment e`', ['reads environment']],
    ['writes an earlier table', 'deployment', 'sql`update instance set routed = true`', ['writes instance']],
    ['reads what its rows refer to', 'instance', 'sql`select 1 from deployment where id = $1`', []],
    ['locks what it reads', 'deployment', "sql`select 1 from web_service s where s.name = 'from secret' for update`", []],
    ['reads a table of the platform', 'project', 'sql`select 1 from event`', []],
  ])('is checked: one that %s', (_what, concept, text, found) => {
    expect(breachesOf('planted.ts', concept, text)).toEqual(found.map((breach) => `planted.ts ${breach}`))
  })
})
