/**
 * Writes the files of a commit, with its submodules and LFS objects, into an empty directory. Files are checked before they are written;
 * links afterwards, when the paths that they lead through exist.
 */
import { mkdir, readdir, realpath, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { RepositoryRef, Source } from '../../domain/deploys/deployment/ports.ts'
import type { SourceWriter, StepIo } from '../../domain/deploys/instance/ports.ts'
import { PortError } from '../../platform/errors.ts'
import { sourceRejected } from './failure.ts'
import { fetchCommit } from './fetch.ts'
import { pullLfs } from './lfs.ts'
import { refuseLinksOutOfTree } from './link.ts'
import { type Budget, listTree, type TreeListing } from './listing.ts'
import type { GitSettings } from './options.ts'
import { fullDisk, type GitSession, withSession } from './session.ts'
import { readSubmodules, submoduleRef } from './submodule.ts'

const SUBMODULE_DEPTH = 8
const SUBMODULE_COUNT = 256

type Checkout = {
  root: string
  budget: Budget
  /** Links of the whole tree, relative to `root`. */
  links: string[]
  submodules: number
  settings: GitSettings
  io: StepIo
}

export function treeWriter(repository: RepositoryRef, commit: Parameters<Source['tree']>[1], settings: GitSettings): SourceWriter {
  return async (directory, io) => {
    io.signal.throwIfAborted()
    const root = await emptyDirectory(directory)
    const budget = { bytes: settings.limits.treeBytes, files: settings.limits.treeFiles, limits: settings.limits }
    const checkout: Checkout = { root, budget, links: [], submodules: 0, settings, io }
    try {
      await writeRepository(checkout, { repository, hash: commit.hash, branch: commit.branch, path: '', depth: 0 })
      await refuseLinksOutOfTree(root, checkout.links)
    } catch (error) {
      await clear(root)
      throw fullDisk(error) ?? error
    }
  }
}

type Part = { repository: RepositoryRef; hash: string; branch: string | null; path: string; depth: number }

async function writeRepository(checkout: Checkout, part: Part): Promise<void> {
  await withSession(part.repository, checkout.settings, checkout.io, async (session) => {
    await session.say(`Cloning ${part.repository.url}${part.path === '' ? '' : ` into ${part.path}`}`)
    await session.init(part.hash)
    await fetchCommit(session, part.hash, part.branch, 'everything')
    const listing = await listTree(session, part.hash, part.path, checkout.budget)
    const directory = join(checkout.root, part.path)
    const hash = ['read-tree', '--reset', '-u', part.hash]
    await session.mustLocal(['-c', 'core.bare=false', `--work-tree=${directory}`, ...hash])
    await session.say(`Checked out ${part.hash.slice(0, 7)} (${listing.files} files, ${listing.bytes} bytes)`)
    checkout.links.push(...listing.links.map((link) => join(part.path, link)))
    await pullLfs(session, { commit: part.hash, listing, directory, budget: checkout.budget })
    await writeSubmodules(checkout, part, session, listing)
  })
}

async function writeSubmodules(checkout: Checkout, part: Part, session: GitSession, listing: TreeListing): Promise<void> {
  if (listing.submodules.length === 0) return
  const declared = listing.hasModulesFile ? await readSubmodules(session, part.hash) : new Map<string, string>()
  for (const { path, hash } of listing.submodules) {
    const fullPath = join(part.path, path)
    const url = declared.get(path)
    if (url === undefined) {
      await session.say(`The submodule ${fullPath} has no URL in .gitmodules. Its folder stays empty.`)
      continue
    }
    if (part.depth + 1 > SUBMODULE_DEPTH || ++checkout.submodules > SUBMODULE_COUNT)
      throw sourceRejected(
        `The repository has too many submodules. At most ${SUBMODULE_COUNT}, nested ${SUBMODULE_DEPTH} deep, are allowed.`,
      )
    await requireInsideTree(checkout.root, fullPath)
    try {
      const repository = submoduleRef(session, url)
      await writeRepository(checkout, { repository, hash, branch: null, path: fullPath, depth: part.depth + 1 })
    } catch (error) {
      throw inSubmodule(error, fullPath)
    }
  }
}

/** Throws SOURCE_REJECTED if the folder of a submodule is behind a link. */
async function requireInsideTree(root: string, path: string): Promise<void> {
  const directory = join(root, path)
  await mkdir(directory, { recursive: true })
  if ((await realpath(directory)) !== directory) throw sourceRejected(`The submodule "${path}" must not be behind a symbolic link.`)
}

function inSubmodule(error: unknown, path: string): unknown {
  if (!(error instanceof PortError) || error.message.startsWith('Submodule ')) return error
  return new PortError(error.code, `Submodule ${path}: ${error.message}`, { hint: error.hint, exitCode: error.exitCode, cause: error })
}

async function emptyDirectory(directory: string): Promise<string> {
  try {
    await mkdir(directory, { recursive: true })
  } catch (error) {
    throw fullDisk(error) ?? error
  }
  if ((await readdir(directory)).length > 0) throw new Error('The directory for a source must be empty.')
  return realpath(directory)
}

async function clear(root: string): Promise<void> {
  for (const name of await readdir(root)) await rm(join(root, name), { recursive: true, force: true, maxRetries: 3 })
}
