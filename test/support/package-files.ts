/** Installed npm packages as files of a repository, for sample apps that need a library where npm cannot reach a registry. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { filesOf, type RepositoryFiles } from './git-repository.ts'

const installed = join(import.meta.dirname, '..', '..', 'node_modules')

/** The packages and everything that they depend on, below `node_modules`. */
export async function packageFiles(names: readonly string[]): Promise<RepositoryFiles> {
  const files: RepositoryFiles = {}
  const waiting = new Set(names)
  for (const name of waiting) {
    const { dependencies = {} } = JSON.parse(await readFile(join(installed, name, 'package.json'), 'utf8'))
    for (const dependency of Object.keys(dependencies)) waiting.add(dependency)
    for (const [path, content] of Object.entries(await filesOf(join(installed, name)))) files[join('node_modules', name, path)] = content
  }
  return files
}
