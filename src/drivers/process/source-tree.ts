import { lstat, readdir } from 'node:fs/promises'
import { join, posix, relative } from 'node:path'
import type { SourceTree } from '../../domain/deploys/instance/ports.ts'
import { directoryInside } from './tree.ts'

/** The directory `work` of a source tree, for a plan. */
export function sourceTree(tree: string, work: string): SourceTree {
  /** Real path of a directory that is inside the tree. Null for any other path. */
  const inside = async (path: string) => (path.startsWith('/') ? null : await directoryInside(tree, join(relative(tree, work), path)))
  return {
    async isFile(path) {
      const directory = await inside(posix.dirname(path))
      if (directory === null) return false
      const found = await lstat(join(directory, posix.basename(path))).catch(() => null)
      return found?.isFile() ?? false
    },
    async directories(path) {
      const directory = await inside(path)
      if (directory === null) return null
      const entries = await readdir(directory, { withFileTypes: true })
      return entries.flatMap((entry) => (entry.isDirectory() ? entry.name : [])).sort()
    },
  }
}
