import { glob, readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { printReadme } from '../../src/cli/readme.ts'
import { graphqlErrors } from '../../src/graphql/error.ts'
import { readSettings, settingNames } from '../../src/platform/settings.ts'
import { concepts, domain } from './support.ts'

const root = dirname(dirname(import.meta.dirname))
let readme: string

beforeAll(async () => {
  readme = await readFile(join(root, 'README.md'), 'utf8')
})

/** The cells of the table below a heading, without the header row. */
function tableOf(heading: string): string[][] {
  const from = readme.indexOf(`\n## ${heading}\n`)
  expect(from, `README.md has a part "${heading}"`).toBeGreaterThan(0)
  const part = readme.slice(from + 1).split('\n## ')[0] ?? ''
  const rows = part.split('\n').filter((line) => line.startsWith('|'))
  return rows.slice(2).map((line) =>
    line
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim()),
  )
}

const plain = (cell: string | undefined) => (cell ?? '').replaceAll('`', '')

it('lists every setting once, and no other', () => {
  expect(
    tableOf('Settings')
      .map(([name]) => plain(name))
      .sort(),
  ).toEqual([...settingNames].sort())
})

it('states the default of each setting that has a fixed default', () => {
  const settings: Record<string, unknown> = readSettings({})
  const fixed = tableOf('Settings').filter(([, told]) => told?.startsWith('`') && !told.includes(' '))
  expect(fixed.length).toBeGreaterThan(20)
  const told = fixed.map(([name, value]) => [plain(name), plain(value)])
  const real = told.map(([name, value]) => [name, name === 'DATA_DIR' ? value : String(settings[name ?? ''])])
  expect(told).toEqual(real)
})

const isUnset = (value: unknown) => value === undefined || (value instanceof Map ? value.size === 0 : String(value) === '')

it('marks no setting as unset that has a fixed default', () => {
  const settings: Record<string, unknown> = readSettings({})
  const unset = tableOf('Settings').filter(([, told]) => told === 'none')
  const filled = unset.map(([name]) => plain(name)).filter((name) => !isUnset(settings[name]))
  expect(filled).toEqual([])
})

it('lists the error codes of every API and concept, as the code prints them', async () => {
  expect(await printReadme()).toBe(readme)
  expect(tableOf('Error codes').map(([code]) => plain(code))).toEqual([...domain.errors.keys(), ...Object.keys(graphqlErrors)].sort())
})

it('knows every error code, because each concept declares those that it defines', async () => {
  const declared = new Set<unknown>(concepts.flatMap(({ errors }) => errors))
  let found = 0
  for await (const file of glob('src/domain/*/*/errors.ts', { cwd: root })) {
    const defined = Object.values((await import(join(root, file))) as object).filter((value) => typeof value === 'object')
    found += defined.length
    expect({ file, isDeclared: defined.map((errors) => declared.has(errors)) }).toEqual({ file, isDeclared: defined.map(() => true) })
  }
  expect(found).toBeGreaterThan(10)
})

it('lists every folder of src on its map, and no other', async () => {
  const entries = await readdir(join(root, 'src'), { withFileTypes: true })
  const rooms = entries.map((entry) => `src/${entry.name}${entry.isDirectory() ? '/' : ''}`)
  const mapped = tableOf('Map')
    .map(([where]) => plain(where))
    .filter((where) => where.startsWith('src/'))
  expect(mapped.sort()).toEqual(rooms.sort())
})

it('names every floor of the domain', async () => {
  const floors = await readdir(join(root, 'src', 'domain'))
  expect(floors.filter((floor) => !readme.includes(`\`${floor}\` (`))).toEqual([])
})
