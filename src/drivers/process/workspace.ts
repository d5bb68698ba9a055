/** Temporary directories of builds and removals, and the sweep of those whose owner died. */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { StepIo } from '../../domain/deploys/instance/ports.ts'
import { isAlive, markOf, type ProcessMark } from '../../platform/process-mark.ts'
import type { Layout } from './layout.ts'
import { killAll } from './report.ts'
import type { Sandbox } from './sandbox.ts'
import { inThread } from './thread.ts'
import { isErrno, removeTree, walk } from './tree.ts'

/** The owner of a workspace. `cache` is the id of the service whose build cache it uses. */
type Owner = ProcessMark & { cache?: string }

/** Runs `work` with a new directory, which is removed afterwards in any case. */
export async function withWorkspace<Value>(
  layout: Layout,
  label: string,
  work: (directory: string) => Promise<Value>,
  cache?: string,
): Promise<Value> {
  const directory = join(layout.work, `${label}-${randomBytes(6).toString('hex')}`)
  await mkdir(directory, { mode: 0o700 })
  try {
    await writeFile(join(directory, 'owner.json'), JSON.stringify({ ...markOf(process.pid), ...(cache === undefined ? {} : { cache }) }))
    return await work(directory)
  } finally {
    await removeAny(directory)
  }
}

/** Moves a tree away in one step, then removes it. Writes nothing, so it works on a full disk. */
export async function discard(layout: Layout, path: string): Promise<void> {
  const hidden = join(layout.work, `discarded-${randomBytes(6).toString('hex')}`)
  try {
    await rename(path, hidden)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return
    throw error
  }
  await removeAny(hidden)
}

/** Ids of the services whose build caches are in use by a build of any process. */
export async function cachesInUse(layout: Layout): Promise<Set<string>> {
  const owners = (await readdir(layout.work)).map((name) => ownerOf(join(layout.work, name)).catch(() => null))
  return new Set((await Promise.all(owners)).flatMap((owner) => owner?.cache ?? []))
}

/** The process mark is missing on platforms without /proc. */
async function ownerOf(directory: string): Promise<Partial<Owner>> {
  return JSON.parse(await readFile(join(directory, 'owner.json'), 'utf8')) as Partial<Owner>
}

/** Trees with more entries are removed in a thread. */
const fewEntries = 500

async function removeAny(path: string): Promise<void> {
  const noIo: StepIo = { output: () => undefined, signal: new AbortController().signal }
  if (hasFewEntries(path)) await removeTree(path)
  else await inThread('remove', path, noIo)
}

function hasFewEntries(path: string): boolean {
  let count = 0
  try {
    for (const _entry of walk(path)) if (++count > fewEntries) return false
    return true
  } catch {
    // It is gone, or cannot be entered, which the removal handles.
    return true
  }
}

const withoutOwnerMs = 60_000

/** Kills and removes what processes left behind that died during their work. */
export async function sweepWorkspaces(layout: Layout, sandbox: Sandbox): Promise<void> {
  for (const name of await readdir(layout.work)) {
    const directory = join(layout.work, name)
    if (!(await isAbandoned(directory))) continue
    // Build commands may outlive their owner: always without a sandbox, and with one if it was still being set up.
    await killAll(sandbox, { name, directory }, null)
    await removeAny(directory)
  }
}

async function isAbandoned(directory: string): Promise<boolean> {
  try {
    const owner = await ownerOf(directory)
    return owner.pid !== undefined && !isAlive(owner as ProcessMark)
  } catch {
    const found = await stat(directory).catch(() => null)
    return found !== null && Date.now() - found.mtimeMs > withoutOwnerMs
  }
}
