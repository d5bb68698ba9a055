/** Finished releases: how one is named, kept, found and removed. A release never changes once it has its name. */
import { readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { digestHex, type Layout } from './layout.ts'
import { isErrno, removeTree } from './tree.ts'
import { discard } from './workspace.ts'

export type Manifest = {
  digest: string
  serviceId: string
  deploymentId: string
  kind: 'app' | 'static'
  /** Where commands run, relative to the tree; '' is its root. */
  workingDirectory: string
  startCommand: string | null
  detected: string
  sizeBytes: number
}

export type Draft = Omit<Manifest, 'digest' | 'sizeBytes'>

export type Releases = {
  /** Takes the tree over. */
  store(tree: string, manifest: Manifest): Promise<void>
  find(digest: string): Promise<Manifest | null>
  /** The tree of a release that `find` knows. */
  tree(digest: string): string
  all(): Promise<Manifest[]>
  remove(digest: string): Promise<void>
  /** What a static release publishes; null for any other. Fast: called for each request. */
  staticRoot(digest: string): string | null
}

export function createReleases(layout: Layout): Releases {
  const staticRoots = new Map<string, string>()
  const directoryOf = (digest: string): string | null => {
    const hex = digestHex(digest)
    return hex === null ? null : join(layout.releases, hex)
  }
  const releases: Releases = {
    async store(tree, manifest) {
      const staging = `${tree}.release`
      await mkdir(staging)
      await rename(tree, join(staging, 'tree'))
      await writeFile(join(staging, 'manifest.json'), JSON.stringify(manifest, null, 2))
      try {
        await rename(staging, directoryOf(manifest.digest) as string)
      } catch (error) {
        // The same deployment was built with the same result before.
        if (!isErrno(error, 'ENOTEMPTY', 'EEXIST')) throw error
        await removeTree(staging)
      }
    },
    async find(digest) {
      const directory = directoryOf(digest)
      if (directory === null) return null
      try {
        return JSON.parse(await readFile(join(directory, 'manifest.json'), 'utf8')) as Manifest
      } catch (error) {
        if (isErrno(error, 'ENOENT')) return null
        throw error
      }
    },
    tree: (digest) => join(directoryOf(digest) as string, 'tree'),
    async all() {
      const names = await readdir(layout.releases)
      const found = await Promise.all(names.map((name) => releases.find(`sha256:${name}`)))
      return found.filter((manifest) => manifest !== null)
    },
    async remove(digest) {
      const directory = directoryOf(digest)
      staticRoots.delete(digest)
      if (directory !== null) await discard(layout, directory)
    },
    staticRoot(digest) {
      const known = staticRoots.get(digest)
      if (known !== undefined) return known
      const directory = directoryOf(digest)
      if (directory === null) return null
      try {
        const manifest = JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8')) as Manifest
        if (manifest.kind !== 'static') return null
      } catch {
        return null
      }
      staticRoots.set(digest, join(directory, 'tree'))
      return join(directory, 'tree')
    },
  }
  return releases
}
