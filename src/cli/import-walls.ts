import { readdir } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { cruise, type ICruiseResult } from 'dependency-cruiser'

/**
 * Checks the imports in src and test of a checkout against its .dependency-cruiser.mjs. Returns one line for each violation, and one for each
 * file that the tool didn't see, since it says nothing about those.
 */
export async function checkImports(root: string): Promise<string[]> {
  const { default: config } = await import(pathToFileURL(join(root, '.dependency-cruiser.mjs')).href)
  const files = await sourceFiles(root, config.options.exclude.path)
  const { output } = await cruise(files, { ...config.options, baseDir: root, validate: true, ruleSet: { forbidden: config.forbidden } })
  const { modules, summary } = output as ICruiseResult

  const seen = new Set(modules.map(({ source }) => source))
  const unseen = files.filter((file) => !seen.has(file)).map((file) => `${file} was not seen by the import check`)
  const blind = modules.every(({ dependencies }) => dependencies.length === 0) ? ['the import check saw no import at all'] : []
  const broken = summary.violations.map(({ rule, from, to, via }) => {
    const path = via === undefined ? to : via.map(({ name }) => name).join(' -> ')
    return `${rule.name}: ${from} -> ${path}`
  })
  return [...unseen, ...blind, ...broken.sort()]
}

/** The paths of all modules, relative to the root and with '/'. */
async function sourceFiles(root: string, excluded: string[]): Promise<string[]> {
  const found: string[] = []
  for (const room of ['src', 'test']) {
    const entries = await readdir(join(root, room), { recursive: true, withFileTypes: true })
    for (const entry of entries) {
      const path = relative(root, join(entry.parentPath, entry.name)).split(sep).join('/')
      if (entry.isFile() && /\.(ts|mts|mjs|js)$/.test(path) && !/\.d\.ts$/.test(path) && !path.startsWith('src/generated/'))
        found.push(path)
    }
  }
  return found.filter((path) => !excluded.some((pattern) => new RegExp(pattern).test(path)))
}
