/** One temporary folder for everything that a test run creates, so that nothing remains in the system's temporary folder. */
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const prefix = 'quayside-tests-'

/** Removes the folders of killed runs, creates the folder, and sets it for this process and its children. Returns its removal. */
export async function useScratchFolder(): Promise<() => Promise<void>> {
  const outer = tmpdir()
  for (const name of await readdir(outer)) {
    const pid = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1]
    if (pid !== undefined && !isAlive(Number(pid))) await remove(join(outer, name)).catch(() => {})
  }
  const folder = await mkdtemp(join(outer, `${prefix}${process.pid}-`))
  // Some tests run programs as other users.
  await chmod(folder, 0o755)
  const former = process.env.TMPDIR
  process.env.TMPDIR = folder
  return async () => {
    if (former === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = former
    await remove(folder)
  }
}

const remove = (folder: string) => rm(folder, { recursive: true, force: true, maxRetries: 3 })

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
