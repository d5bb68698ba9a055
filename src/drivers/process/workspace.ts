/** Directories that live as long as one build or removal, and the sweep of those whose owner died. */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Layout } from './layout.ts'
import { isAlive, markOf, type ProcessMark } from './linux.ts'
import { killAll } from './report.ts'
import type { Sandbox } from './sandbox.ts'
import { isErrno, removeTree } from './tree.ts'

/** Runs `work` with a fresh directory and removes that afterwards, whatever happens. */
export async function withWorkspace<Value>(layout: Layout, label: string, work: (directory: string) => Promise<Value>): Promise<Value> {
  const directory = join(layout.work, `${label}-${randomBytes(6).toString('hex')}`)
  await mkdir(directory, { mode: 0o700 })
  try {
    await writeFile(join(directory, 'owner.json'), JSON.stringify(markOf(process.pid)))
    return await work(directory)
  } finally {
    await removeTree(directory)
  }
}

/** Takes a tree out of sight in one step, then removes it; writes nothing, so that a full disk can be emptied. */
export async function discard(layout: Layout, path: string): Promise<void> {
  const hidden = join(layout.work, `discarded-${randomBytes(6).toString('hex')}`)
  try {
    await rename(path, hidden)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return
    throw error
  }
  await removeTree(hidden)
}

const withoutOwnerMs = 60_000

/** Ends and removes what processes left behind that died in the middle of their work. */
export async function sweepWorkspaces(layout: Layout, sandbox: Sandbox): Promise<void> {
  for (const name of await readdir(layout.work)) {
    const directory = join(layout.work, name)
    if (!(await isAbandoned(directory))) continue
    // Without a sandbox the commands of a build outlive its owner.
    await killAll(sandbox, { name }, null)
    await removeTree(directory)
  }
}

async function isAbandoned(directory: string): Promise<boolean> {
  try {
    const owner = JSON.parse(await readFile(join(directory, 'owner.json'), 'utf8')) as ProcessMark | null
    return owner !== null && !isAlive(owner)
  } catch {
    const found = await stat(directory).catch(() => null)
    return found !== null && Date.now() - found.mtimeMs > withoutOwnerMs
  }
}
