/** The store of releases. A stored release never changes. */
import { readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { StaticFiles } from '../../domain/deploys/instance/ports.ts'
import { digestHex, type Layout } from './layout.ts'
import { isErrno, removeTree } from './tree.ts'
import { discard } from './workspace.ts'

export type Manifest = {
  digest: string
  serviceId: string
  deploymentId: string
  kind: 'app' | 'static'
  /** Working directory of commands, relative to the tree; '' is its root. */
  workingDirectory: string
  startCommand: string | null
  detected: string
  /** Tools that the release was built with and runs with. Omitted if there are none. */
  tools?: string[]
  sizeBytes: number
}

export type Draft = Omit<Manifest, 'digest' | 'sizeBytes'>

export type Releases = {
  /** Moves the trees into the store. `encoded` contains the compressed copies of a site. */
  store(trees: { tree: string; encoded: string | null }, manifest: Manifest): Promise<void>
  find(digest: string): Promise<Manifest | null>
  /** Path of the tree of a stored release. */
  tree(digest: string): string
  all(): Promise<Manifest[]>
  digests(): Promise<string[]>
  remove(digest: string): Promise<void>
  /** Published files of a static release; null for any other release. Called for each request: reads a manifest once. */
  staticFiles(digest: string): StaticFiles | null
}

export function createReleases(layout: Layout): Releases {
  const staticFiles = new Map<string, StaticFiles>()
  const directoryOf = (digest: string): string | null => {
    const hex = digestHex(digest)
    return hex === null ? null : join(layout.releases, hex)
  }
  const releases: Releases = {
    async store({ tree, encoded }, manifest) {
      const staging = `${tree}.release`
      await mkdir(staging)
      await rename(tree, join(staging, 'tree'))
      if (encoded !== null) await rename(encoded, join(staging, 'encoded'))
      await writeFile(join(staging, 'manifest.json'), JSON.stringify(manifest, null, 2))
      try {
        await rename(staging, directoryOf(manifest.digest) as string)
      } catch (error) {
        // An earlier attempt of the same deployment had the same result.
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
      const found = await Promise.all((await releases.digests()).map(releases.find))
      return found.filter((manifest) => manifest !== null)
    },
    async digests() {
      return (await readdir(layout.releases)).map((name) => `sha256:${name}`)
    },
    async remove(digest) {
      const directory = directoryOf(digest)
      staticFiles.delete(digest)
      if (directory !== null) await discard(layout, directory)
    },
    staticFiles(digest) {
      const known = staticFiles.get(digest)
      if (known !== undefined) return known
      const directory = directoryOf(digest)
      if (directory === null) return null
      try {
        const manifest = JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8')) as Manifest
        if (manifest.kind !== 'static') return null
      } catch {
        return null
      }
      const files = { root: join(directory, 'tree'), encoded: join(directory, 'encoded') }
      staticFiles.set(digest, files)
      return files
    },
  }
  return releases
}
