/** Work on directory trees that a stranger filled: links, odd permissions and special files are expected here. */
import { chmodSync, lstatSync, readdirSync, readlinkSync, realpathSync, rmSync } from 'node:fs'
import { chmod, lstat, readdir, realpath, rm } from 'node:fs/promises'
import { dirname, join, relative, resolve, sep } from 'node:path'

export type TreeEntry = {
  /** Relative to the walked root, '/' separated. */
  path: string
  absolute: string
  type: 'file' | 'directory' | 'link' | 'other'
  mode: number
  sizeBytes: number
  /** When its content, mode or links last changed. */
  changedMs: number
}

/**
 * Every entry below `root`, parents first, siblings in byte order. Never follows a link; enters only directories of a name that `enter`
 * wants. Blocks: trees of unknown size are walked by a worker thread (finish.ts).
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

/** The first link below `root` that leads out of it, or null. A dangling link is judged by where it would lead. Blocks. */
export function findEscapingLink(root: string): string | null {
  const base = realpathSync(root)
  for (const entry of walk(base)) {
    if (entry.type === 'link' && !isInside(base, destination(entry.absolute))) return entry.path
  }
  return null
}

/** Gives the owner the right to read everything, and takes sockets, pipes and devices away. Blocks. */
export function tidy(root: string): void {
  chmodSync(root, 0o755)
  for (const entry of walk(root)) {
    if (entry.type === 'other') rmSync(entry.absolute)
    // `walk` enters a directory only after this.
    if (entry.type === 'directory' && (entry.mode & 0o700) !== 0o700) chmodSync(entry.absolute, entry.mode | 0o700)
    if (entry.type === 'file' && (entry.mode & 0o400) === 0) chmodSync(entry.absolute, entry.mode | 0o400)
  }
}

/** A directory below `root` named by a relative path, or null when it leaves the tree, is missing or is no directory. */
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

/** True when `path` is `root` or lies below it; both absolute. */
export function isInside(root: string, path: string): boolean {
  const way = relative(root, path)
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !way.startsWith(sep))
}

/** Removes a tree even where an application or overlayfs left directories that their owner may not enter. */
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

/** The order of UTF-16 units is that of the UTF-8 bytes as long as no pair of surrogates is met. */
function sortedByBytes(names: string[]): string[] {
  if (!names.some((name) => /[\ud800-\udfff]/.test(name))) return names.sort()
  return names.sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)))
}
