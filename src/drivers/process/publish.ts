/** Selects the directory of a built tree that a static site publishes, and removes files that are never published. */
import { existsSync } from 'node:fs'
import { lstat, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PortError } from '../../platform/errors.ts'
import { isPublished } from '../../platform/published-file.ts'
import { directoryInside, removeTree, walk } from './tree.ts'

/** Default output directories of site builders, the most common first. */
const usualOutput = ['dist', 'build', 'out', '_site', 'public', '.output/public']

const hint = 'Set publishDirectory to the directory that contains the built site; "." publishes the root directory.'

/** A timestamp of the file system's own clock that separates files written before it from files written after it. */
export async function markTime(directory: string): Promise<number> {
  const file = join(directory, 'mark')
  const touch = async () => {
    await writeFile(file, '')
    return (await lstat(file)).ctimeMs
  }
  // The clock ticks every few milliseconds, so this waits for a tick in which nothing else was written.
  const before = await touch()
  for (;;) {
    const now = await touch()
    if (now > before) return now
  }
}

export type Wanted = {
  /** The declared directory, relative to `work`. */
  declared: string | null
  /** Start of the build; null without a build step. */
  builtSince: number | null
}

/**
 * The absolute path of the directory to publish, and its name for the log. Without a build step, it is the root; otherwise the output of
 * the build, which is never assumed to be the root. Throws PortError BUILD_FAILED or BUILD_NOT_DETECTED.
 */
export async function publishedDirectory(work: string, { declared, builtSince }: Wanted): Promise<{ directory: string; name: string }> {
  if (declared?.trim()) return await declaredDirectory(work, declared.trim())
  if (builtSince === null) return { directory: work, name: 'the root directory' }
  const produced = []
  const found = []
  for (const name of usualOutput) {
    const directory = await directoryInside(work, name)
    if (directory === null) continue
    const state = await stateOf(directory, builtSince)
    if (state === 'produced') produced.push({ directory, name })
    if (state === 'untouched') found.push({ directory, name })
  }
  // A build may also write a library, without pages.
  const output = produced.find(({ directory }) => existsSync(join(directory, 'index.html'))) ?? produced[0]
  if (output) return output
  const elsewhere = await outputElsewhere(work, builtSince)
  // A directory that the build did not write to is its output only if it wrote no page anywhere else.
  if (found[0] && elsewhere.length === 0) return found[0]
  throw new PortError('BUILD_NOT_DETECTED', `The build wrote no output to any of ${usualOutput.join(', ')}.`, {
    hint: elsewhere.length === 0 ? hint : `The build wrote pages to ${elsewhere.join(', ')}. ${hint}`,
  })
}

async function declaredDirectory(work: string, declared: string): Promise<{ directory: string; name: string }> {
  const directory = await directoryInside(work, declared)
  if (directory === null) {
    throw new PortError('BUILD_FAILED', 'The directory that publishDirectory names does not exist.', {
      hint: `Check publishDirectory. ${hint}`,
    })
  }
  if (declared.split('/').includes('node_modules')) {
    throw new PortError('BUILD_FAILED', 'publishDirectory must not be inside node_modules.', { hint })
  }
  return { directory, name: directory === work ? 'the root directory' : declared }
}

async function stateOf(directory: string, builtSince: number): Promise<'produced' | 'untouched' | 'empty'> {
  let state: 'untouched' | 'empty' = 'empty'
  for (const entry of walk(directory)) {
    if (entry.type === 'directory') continue
    if (entry.changedMs >= builtSince) return 'produced'
    state = 'untouched'
  }
  return state
}

const shownElsewhere = 5

/** Other directories in which the build wrote an index page. */
async function outputElsewhere(work: string, builtSince: number): Promise<string[]> {
  const found: string[] = []
  for (const entry of walk(work, { enter: isPublished })) {
    if (entry.type !== 'file' || !entry.path.endsWith('/index.html') || entry.changedMs < builtSince) continue
    const directory = entry.path.slice(0, -'/index.html'.length)
    if (found.some((other) => directory.startsWith(`${other}/`))) continue
    found.push(directory)
    if (found.length === shownElsewhere) break
  }
  return found
}

/** Moves the directory to `target`, without files that are never published. Throws PortError BUILD_FAILED if no file is left. */
export async function movePublished(directory: string, target: string): Promise<{ files: number; leftOut: string[] }> {
  await rename(directory, target)
  const leftOut = new Set<string>()
  const unwanted: string[] = []
  let files = 0
  for (const entry of walk(target, { enter: isPublished })) {
    const name = entry.path.slice(entry.path.lastIndexOf('/') + 1)
    if (entry.type !== 'directory' && isPublished(name)) files++
    if (isPublished(name)) continue
    leftOut.add(name)
    unwanted.push(entry.absolute)
  }
  for (const path of unwanted) await removeTree(path)
  if (files === 0) throw new PortError('BUILD_FAILED', 'The directory to publish contains no files.', { hint })
  return { files, leftOut: [...leftOut] }
}
