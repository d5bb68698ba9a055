import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbeddedPostgres, stopEmbeddedPostgres } from '../drivers/postgres/index.ts'

const prefix = 'quayside-scratch-'

export type ScratchPostgres = { url: string; end(): Promise<void> }

/**
 * Starts a PostgreSQL without durability in a temporary folder, for tests and for the check. `end` stops it and removes the folder; the
 * leftovers of killed processes are removed at the next start.
 */
export async function startScratchPostgres(): Promise<ScratchPostgres> {
  await sweep()
  const dataDir = await mkdtemp(join(tmpdir(), `${prefix}${process.pid}-`))
  const settings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', autovacuum: 'off', shared_buffers: '128MB' }
  const { url } = await startEmbeddedPostgres({ dataDir, settings })
  return { url, end: () => discard(dataDir) }
}

async function sweep(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1]
    // Another user's folder can't be removed, and need not be.
    if (pid !== undefined && !isAlive(Number(pid))) await discard(join(tmpdir(), name)).catch(() => {})
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function discard(dataDir: string): Promise<void> {
  await stopEmbeddedPostgres({ dataDir })
  await rm(dataDir, { recursive: true, force: true, maxRetries: 3 })
}
