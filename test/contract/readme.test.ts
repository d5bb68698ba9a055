import { readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { printReadme } from '../../src/cli/readme.ts'
import { graphqlErrors } from '../../src/graphql/error.ts'
import { readSettings, settingNames } from '../../src/platform/settings.ts'
import { domain } from './support.ts'

const root = dirname(dirname(import.meta.dirname))
let readme: string

beforeAll(async () => {
  readme = await readFile(join(root, 'README.md'), 'utf8')
})

/** The cells of the table under a heading, without its head. */
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

it('names every setting once, and none that is not there', () => {
  expect(
    tableOf('Settings')
      .map(([name]) => plain(name))
      .sort(),
  ).toEqual([...settingNames].sort())
})

it('tells the default of each setting that has a fixed one', () => {
  const settings: Record<string, unknown> = readSettings({})
  const fixed = tableOf('Settings').filter(([, told]) => told?.startsWith('`') && !told.includes(' '))
  expect(fixed.length).toBeGreaterThan(20)
  const told = fixed.map(([name, value]) => [plain(name), plain(value)])
  const real = told.map(([name, value]) => [name, name === 'DATA_DIR' ? value : String(settings[name ?? ''])])
  expect(told).toEqual(real)
})

it('calls no setting unset that has a fixed default', () => {
  const settings: Record<string, unknown> = readSettings({})
  const unset = tableOf('Settings').filter(([, told]) => told === 'none')
  const filled = unset.map(([name]) => plain(name)).filter((name) => settings[name] !== undefined && String(settings[name]) !== '')
  expect(filled).toEqual([])
})

it('has the error codes of every door and concept, as the code prints them', async () => {
  expect(await printReadme()).toBe(readme)
  expect(tableOf('Error codes').map(([code]) => plain(code))).toEqual([...domain.errors.keys(), ...Object.keys(graphqlErrors)].sort())
})

it('has every room of src on its map, and none that is not there', async () => {
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
