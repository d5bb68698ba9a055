import { mkdtemp, readdir, rm, stat, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BackupStore } from '../../src/domain/resources/backup/ports.ts'
import { createBackupDisk } from '../../src/drivers/backup-disk/index.ts'
import { never, problem } from './backup-support.ts'

let directory: string
let store: BackupStore

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'quayside-test-'))
  store = createBackupDisk({ directory: join(directory, 'backups'), reserveBytes: 0 })
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const read = async (name: string) => {
  const found = await store.get(name)
  return found && text(found)
}
const files = async () =>
  (await readdir(directory, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map(({ name }) => name)

async function* failing() {
  yield Buffer.from('the beginning')
  throw new Error('the backup failed')
}

describe('the disk store of backups', () => {
  it('returns what was stored, readable by its owner only', async () => {
    await store.put('db/one.tar.zst', Readable.from(['con', 'tent']), never)
    expect(await read('db/one.tar.zst')).toBe('content')
    expect((await stat(join(directory, 'backups/db/one.tar.zst'))).mode & 0o777).toBe(0o600)
  })

  it('returns null for a name that has nothing', async () => {
    expect(await read('db/none')).toBeNull()
  })

  it('replaces what had the name', async () => {
    await store.put('db/one', Readable.from(['first']), never)
    await store.put('db/one', Readable.from(['second']), never)
    expect(await read('db/one')).toBe('second')
  })

  it('keeps nothing of content that fails or is aborted, and keeps what had the name', async () => {
    await store.put('db/one', Readable.from(['first']), never)
    expect((await problem(store.put('db/one', Readable.from(failing()), never))).message).toBe('the backup failed')
    const stopping = new AbortController()
    const silent = new Readable({ read: () => stopping.abort() })
    await problem(store.put('db/one', silent, stopping.signal))
    expect(await read('db/one')).toBe('first')
    expect(await files()).toEqual(['one'])
  })

  it('refuses to begin when the disk is full, and leaves nothing', async () => {
    const full = createBackupDisk({ directory, reserveBytes: 2 ** 60 })
    expect(await problem(full.put('db/one', Readable.from(['content']), never))).toMatchObject({ code: 'NO_CAPACITY' })
    expect(await files()).toEqual([])
  })

  it('stops when the disk becomes full while it writes, and leaves nothing', async () => {
    const { bavail, bsize } = await statfs(directory)
    const almostFull = createBackupDisk({ directory, reserveBytes: bavail * bsize - 48 * 2 ** 20 })
    const endless = new Readable({ read: () => void endless.push(Buffer.alloc(2 ** 20)) })
    expect(await problem(almostFull.put('db/one', endless, never))).toMatchObject({ code: 'NO_CAPACITY' })
    expect(await files()).toEqual([])
  })

  it('removes a backup with what interrupted writers left, and nothing else', async () => {
    await store.put('db/one', Readable.from(['one']), never)
    await store.put('db/one-more', Readable.from(['two']), never)
    const stopping = new AbortController()
    const interrupted = store.put('db/one', new Readable({ read() {} }), stopping.signal)
    await expect.poll(files).toHaveLength(3)
    await store.remove('db/one')
    expect(await files()).toEqual(['one-more'])
    await store.remove('db/one-more')
    expect(await readdir(join(directory, 'backups'))).toEqual([])
    await store.remove('db/one')
    stopping.abort()
    await problem(interrupted)
  })

  it('refuses names that would leave its directory', async () => {
    for (const name of ['../one', '/etc/passwd', 'db/../../one', '.', ''])
      expect((await problem(store.put(name, Readable.from([]), never))).message).toContain('cannot be the name')
  })
})
