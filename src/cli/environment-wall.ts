import { readdir, readFile } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'

/** boot.mjs runs before the settings are read, and passes the environment on. */
const readers = ['src/platform/settings.ts', 'src/cli/boot.mjs']
const reads = /\bprocess\s*(\?\.|\.)\s*env\b|\bprocess\[['"]env['"]\]|import\s*\{[^}]*\benv\b[^}]*\}\s*from\s*['"](node:)?process['"]/

/** Returns one line for each place in src that reads the environment without being allowed to. */
export async function checkEnvironmentReads(root: string): Promise<string[]> {
  const found: string[] = []
  for (const entry of await readdir(join(root, 'src'), { recursive: true, withFileTypes: true })) {
    const path = relative(root, join(entry.parentPath, entry.name)).split(sep).join('/')
    if (!entry.isFile() || !/\.(ts|mjs|js)$/.test(path) || path.startsWith('src/generated/') || readers.includes(path)) continue
    const lines = (await readFile(join(root, path), 'utf8')).split('\n')
    for (const [index, line] of lines.entries()) {
      if (/^\s*(\/\/|\*|\/\*)/.test(line) || !reads.test(line)) continue
      found.push(`${path}:${index + 1} reads the environment; only src/platform/settings.ts may`)
    }
  }
  return found
}
