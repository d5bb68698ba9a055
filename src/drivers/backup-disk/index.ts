/**
 * Stores backups as files. A file has its name only when it is complete and on the disk, so that neither a crash nor a full disk leaves a part
 * that looks whole.
 */
import { randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm, rmdir, stat, statfs } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { BackupErrorCode, BackupStore } from '../../domain/resources/backup/ports.ts'
import { PortError } from '../../platform/errors.ts'

export type BackupDiskOptions = {
  /** Created if missing. */
  directory: string
  /** Free disk space that backups must leave. */
  reserveBytes: number
}

/** How much is written between two checks of the free disk space. */
const checkEveryBytes = 16 * 1024 ** 2
const draft = /\.[0-9a-f]{12}\.draft$/

export function createBackupDisk({ directory, reserveBytes }: BackupDiskOptions): BackupStore {
  const pathOf = (name: string) => {
    if (name.includes('://')) throw elsewhere(name)
    if (!name.split('/').every((part) => /^[\w-][\w.-]*$/.test(part))) throw new Error(`${name} cannot be the name of a backup`)
    return join(directory, name)
  }
  return {
    nameOf: (path) => path,
    async put(name, content, signal) {
      const path = pathOf(name)
      const part = `${path}.${randomBytes(6).toString('hex')}.draft`
      try {
        await mkdir(dirname(path), { recursive: true, mode: 0o700 })
        await requireRoom(directory, reserveBytes)
        const file = createWriteStream(part, { flags: 'wx', mode: 0o600, flush: true })
        await pipeline(content, watchRoom(directory, reserveBytes), file, { signal })
        await rename(part, path)
        await syncDirectories(path, directory)
      } catch (error) {
        await rm(part, { force: true })
        throw isFull(error) ? diskFull(error) : error
      }
    },
    async get(name) {
      try {
        const file = await open(pathOf(name), 'r')
        return file.createReadStream({ highWaterMark: 1024 ** 2 })
      } catch (error) {
        if (isMissing(error)) return null
        throw error
      }
    },
    async remove(name) {
      const path = pathOf(name)
      for (const found of await list(dirname(path))) {
        if (found.replace(draft, '') === basename(path)) await rm(join(dirname(path), found), { force: true })
      }
      // It stays while it contains another backup.
      if (dirname(path) !== directory) await rmdir(dirname(path)).catch(() => {})
    },
    async sweep(inUse, ageMs) {
      for (const folder of await list(directory)) {
        for (const found of await list(join(directory, folder))) {
          if (!draft.test(found) || inUse.includes(`${folder}/${found.replace(draft, '')}`)) continue
          const path = join(directory, folder, found)
          const changed = await stat(path).catch(() => null)
          if (changed && Date.now() - changed.mtimeMs > ageMs) await rm(path, { force: true })
        }
      }
    },
  }
}

async function list(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (isMissing(error) || isFile(error)) return []
    throw error
  }
}

async function requireRoom(directory: string, reserveBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory)
  if (bavail * bsize < reserveBytes) throw diskFull()
}

/** Passes content on while the disk has room. Stops early, because the databases may use the same disk. */
function watchRoom(directory: string, reserveBytes: number): Transform {
  let sinceCheck = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sinceCheck += chunk.length
      if (sinceCheck < checkEveryBytes) return done(null, chunk)
      sinceCheck = 0
      requireRoom(directory, reserveBytes).then(() => done(null, chunk), done)
    },
  })
}

/** Makes the name of a file durable, and those of the folders that were created for it. */
async function syncDirectories(path: string, top: string): Promise<void> {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const handle = await open(folder, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
    if (folder === top) return
  }
}

/** An archive that was stored while other settings applied. */
const elsewhere = (name: string): PortError<BackupErrorCode> =>
  new PortError('STORE_UNAVAILABLE', `The backup is stored at ${name}, but the settings BACKUP_S3_… name no bucket.`)

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT'
const isFile = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOTDIR'
const isFull = (error: unknown): boolean => ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '')

const diskFull = (cause?: unknown): PortError<BackupErrorCode> =>
  new PortError('NO_CAPACITY', 'The disk of the backups has too little free space.', { cause })
