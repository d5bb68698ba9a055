/** Functions for untrusted directory trees, with links, unusual permissions and special files. */
import { chmodSync, lstatSync, readdirSync, readlinkSync, realpathSync, rmSync } from 'node:fs'
import { chmod, lstat, readdir, realpath, rm } from 'node:fs/promises'
import { dirname, join, relative, resolve, sep } from 'node:path'

export type TreeEntry = {
  /** Relative to the root of the walk, '/' separated. */
  path: string
  absolute: string
  type: 'file' | 'directory' | 'link' | 'other'
  mode: number
  sizeBytes: number
  /** Time of the last change of content, mode or links. */
  changedMs: number
}

/**
 * All entries below `root`, parents first, siblings in byte order. Never follows a link. With `enter`, enters only directories for whose
 * name it returns true. Blocks: trees of unknown size are walked in a thread (finish.ts).
 */
export function* walk(root: string, { enter }: { enter?: (name: string) => boolean } = {}, below = ''): Generator<TreeEntry> {
  for (const name of sortedByBytes(readdirSync(join(root, below)))) {
    const path = below === '' ? name : `${below}/${name}`
    const absolute = `${root}${sep}${path}`
    const found = lstatSync(absolute)
    const type = found.isSymbolicLink() ? 'link' : found.isDirectory() ? 'directory' : found.isFile() ? 'file' : 'other'
    yield { path, absolute, type, mode: found.mode & 0o777, sizeBytes: type === 'file' ? found.size : 0, changedMs: found.ctimeMs }
    if (type === 'directory' && (enter === undefined || enter(name))) yield* walk(root, enter ? { enter } : {}, path)
  }
}

/** The first link below `root` that points outside it, or null. For a dangling link, its target path counts. Blocks. */
export function findEscapingLink(root: string): string | null {
  const base = realpathSync(root)
  for (const entry of walk(base)) {
    if (entry.type === 'link' && !isInside(base, destination(entry.absolute))) return entry.path
  }
  return null
}

/** The first socket, pipe or device below `root`, or null. Makes all directories accessible to their owner. Blocks. */
export function findSpecialFile(root: string): string | null {
  for (const entry of walk(root)) {
    if (entry.type === 'other') return entry.path
    if (entry.type === 'directory' && (entry.mode & 0o700) !== 0o700) chmodSync(entry.absolute, entry.mode | 0o700)
  }
  return null
}

/** Makes everything readable for the owner, and removes sockets, pipes and devices. Blocks. */
export function tidy(root: string): void {
  chmodSync(root, 0o755)
  for (const entry of walk(root)) {
    if (entry.type === 'other') rmSync(entry.absolute)
    // `walk` enters the directory after this.
    if (entry.type === 'directory' && (entry.mode & 0o700) !== 0o700) chmodSync(entry.absolute, entry.mode | 0o700)
    if (entry.type === 'file' && (entry.mode & 0o400) === 0) chmodSync(entry.absolute, entry.mode | 0o400)
  }
}

/** The directory at a relative path below `root`, or null if the path leaves the tree, does not exist or is not a directory. */
export async function directoryInside(root: string, path: string): Promise<string | null> {
  const lexical = resolve(root, path)
  if (path.includes('\0') || path.startsWith('/') || !isInside(root, lexical)) return null
  try {
    const [base, real] = await Promise.all([realpath(root), realpath(lexical)])
    const found = await lstat(real)
    return found.isDirectory() && isInside(base, real) ? real : null
  } catch {
    return null
  }
}

/** Whether `path` is `root` or below it. Both are absolute. */
export function isInside(root: string, path: string): boolean {
  const way = relative(root, path)
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !way.startsWith(sep))
}

/** Removes a tree, even if an app or overlayfs left directories that their owner cannot enter. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true })
  } catch (error) {
    if (!isErrno(error, 'EACCES', 'EPERM')) throw error
    await openUp(path)
    await rm(path, { recursive: true, force: true })
  }
}

export function isErrno(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}

async function openUp(directory: string): Promise<void> {
  await chmod(directory, 0o700)
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await openUp(join(directory, entry.name))
  }
}

function destination(link: string): string {
  try {
    return realpathSync(link)
  } catch {
    return resolve(realpathSync(dirname(link)), readlinkSync(link))
  }
}

/** UTF-16 order equals UTF-8 byte order as long as there are no surrogate pairs. */
function sortedByBytes(names: string[]): string[] {
  if (!names.some((name) => /[\ud800-\udfff]/.test(name))) return names.sort()
  return names.sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)))
}
