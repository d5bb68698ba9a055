import { mkdtemp, readdir, rm, stat, statfs, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BackupStore } from '../../src/domain/resources/backup/ports.ts'
import { createBackupDisk } from '../../src/drivers/backup-disk/index.ts'
import { type BackupS3Options, createBackupS3 } from '../../src/drivers/backup-s3/index.ts'
import { rows, sql } from '../../src/platform/db/index.ts'
import { newId } from '../../src/platform/id.ts'
import { Secret } from '../../src/platform/settings.ts'
import { s3World } from '../s3/support.ts'
import { bucketName, type ObjectStorage, type StorageRequest, startObjectStorage } from '../support/object-storage.ts'
import { until } from '../support/wait.ts'
import { never, problem } from './backup-support.ts'

/** Quayside's own S3 endpoint, as another storage. */
const quayside = s3World()
let directory: string
let storage: ObjectStorage
let disk: BackupStore
let bucket: BackupStore
let own: BackupStore
/** Another one for each test in the endpoint, which they share. */
let prefix: string

const openBucket = (changed: Partial<BackupS3Options> = {}) =>
  createBackupS3({
    endpoint: storage.endpoint,
    region: 'us-east-1',
    bucket: bucketName,
    accessKeyId: 'AKIDEXAMPLE',
    secretAccessKey: new Secret('the secret of the bucket'),
    prefix,
    others: disk,
    ...changed,
  })

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'quayside-test-'))
  storage = await startObjectStorage()
  disk = createBackupDisk({ directory: join(directory, 'backups'), reserveBytes: 0 })
  prefix = `installation/${newId()}`
  bucket = openBucket()
  const { accessKeyId, secretAccessKey } = quayside.key
  const secret = { accessKeyId, secretAccessKey: new Secret(secretAccessKey) }
  own = openBucket({ endpoint: quayside.url, bucket: quayside.bucket.name, ...secret })
})
afterEach(async () => {
  await storage.close()
  await rm(directory, { recursive: true, force: true })
})

const lastPart = (path: string) => path.split('/').at(-1)!
const files = async () =>
  (await readdir(directory, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map(({ name }) => name)
/** What a store has of complete and incomplete archives. */
const kept = {
  disk: files,
  bucket: async () => [...storage.objects.keys(), ...[...storage.uploads.values()].map(({ key }) => key)].map(lastPart),
  'Quayside bucket': async () => {
    const found = await rows<{ key: string }>(
      quayside.app.db,
      sql`select key from stored_object where starts_with(key, ${prefix}) union all select key from multipart_upload where starts_with(key, ${prefix})`,
    )
    return found.map(({ key }) => lastPart(key))
  },
}

async function* failing() {
  yield Buffer.from('the beginning')
  throw new Error('the backup failed')
}
const silent = () => new Readable({ read() {} })

for (const kind of ['disk', 'bucket', 'Quayside bucket'] as const) {
  describe(`the ${kind} store of backups`, () => {
    const store = () => ({ disk, bucket, 'Quayside bucket': own })[kind]
    const name = (path: string) => store().nameOf(path)
    const put = (path: string, content: Readable, signal = never) => store().put(name(path), content, signal)
    const read = async (path: string) => {
      const found = await store().get(name(path))
      return found && text(found)
    }
    const have = kept[kind]

    it('returns what was stored', async () => {
      await put('db/one.tar.zst', Readable.from(['con', 'tent']))
      expect(await read('db/one.tar.zst')).toBe('content')
    })

    it('stores content that is empty, and content of many parts', async () => {
      const large = Buffer.alloc(40 * 2 ** 20, 'abcdefg')
      await put('db/empty', Readable.from([]))
      await put('db/large', Readable.from([large.subarray(0, 3), large.subarray(3, 20_000_000), large.subarray(20_000_000)]))
      expect(await read('db/empty')).toBe('')
      expect((await buffer((await store().get(name('db/large')))!)).equals(large)).toBe(true)
    })

    it('returns null for a name that has nothing', async () => {
      expect(await read('db/none')).toBeNull()
    })

    it('replaces what had the name', async () => {
      await put('db/one', Readable.from(['first']))
      await put('db/one', Readable.from(['second']))
      expect(await read('db/one')).toBe('second')
    })

    it('keeps nothing of content that fails or is aborted, and keeps what had the name', async () => {
      await put('db/one', Readable.from(['first']))
      expect((await problem(put('db/one', Readable.from(failing())))).message).toBe('the backup failed')
      const stopping = new AbortController()
      const content = new Readable({ read: () => stopping.abort(new Error('enough')) })
      expect((await problem(put('db/one', content, stopping.signal))).message).toMatch(/enough|aborted/)
      expect(await read('db/one')).toBe('first')
      expect(await have()).toEqual(['one'])
    })

    it('removes a backup with what interrupted writers left, and nothing else', async () => {
      await put('db/one', Readable.from(['one']))
      await put('db/one-more', Readable.from(['two']))
      const stopping = new AbortController()
      const interrupted = problem(put('db/one', silent(), stopping.signal))
      await until('the writer has begun', async () => (await have()).length === 3)
      await store().remove(name('db/one'))
      expect(await have()).toEqual(['one-more'])
      await store().remove(name('db/one-more'))
      expect(await have()).toEqual([])
      await store().remove(name('db/one'))
      stopping.abort()
      await interrupted
    })

    it('sweeps what interrupted writers left some time ago, but not what is in use', async () => {
      await put('db/whole', Readable.from(['whole']))
      const stopping = new AbortController()
      const writers = ['db/left', 'db/used'].map((path) => problem(put(path, silent(), stopping.signal)))
      await until('both have begun', async () => (await have()).length === 3)
      await store().sweep([name('db/used')], 60_000)
      expect(await have()).toHaveLength(3)
      await store().sweep([name('db/used')], -1)
      const left = (await have()).map((found) => found.replace(/\..*/, '')).sort()
      expect(left).toEqual(['used', 'whole'])
      stopping.abort()
      await Promise.all(writers)
      expect(await have()).toEqual(['whole'])
    })
  })
}

describe('the disk store of backups', () => {
  it('makes files that only their owner can read', async () => {
    await disk.put('db/one', Readable.from(['content']), never)
    expect((await stat(join(directory, 'backups/db/one'))).mode & 0o777).toBe(0o600)
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

  it('refuses names that would leave its directory', async () => {
    for (const name of ['../one', '/etc/passwd', 'db/../../one', '.', ''])
      expect((await problem(disk.put(name, Readable.from([]), never))).message).toContain('cannot be the name')
  })

  it('does not take a backup in a bucket for a missing one', async () => {
    expect(await problem(disk.get('s3://former/db/one'))).toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringContaining('s3://former/db/one'),
    })
  })

  it('sweeps by the age of the last write', async () => {
    await disk.put('db/one', Readable.from(['content']), never)
    const left = join(directory, 'backups/db/two.0123456789ab.draft')
    await writeFile(left, 'half')
    await disk.sweep([], 3_600_000)
    expect(await files()).toHaveLength(2)
    await utimes(left, new Date(0), new Date(0))
    await disk.sweep([], 3_600_000)
    expect(await files()).toEqual(['one'])
  })
})

describe('the bucket store of backups', () => {
  const name = () => bucket.nameOf('db/one')
  const large = () => Readable.from([Buffer.alloc(20 * 2 ** 20, 1), Buffer.alloc(20 * 2 ** 20, 2)])
  const isPart = ({ query }: StorageRequest) => query.has('partNumber')
  const isCompletion = ({ method, query }: StorageRequest) => method === 'POST' && query.has('uploadId')
  const first = (matches: (request: StorageRequest) => boolean) => {
    let seen = 0
    return (request: StorageRequest) => matches(request) && ++seen === 1
  }
  const unavailable = (reason: string) => ({ code: 'STORE_UNAVAILABLE', message: expect.stringContaining(reason) })

  it('names bucket and key, and still has the backups that are on the disk', async () => {
    expect(name()).toBe(`s3://backups/${prefix}/db/one`)
    await disk.put('db/one', Readable.from(['older']), never)
    expect(await text((await bucket.get('db/one'))!)).toBe('older')
    await bucket.remove('db/one')
    expect(await files()).toEqual([])
  })

  it('holds no more than two parts in memory, however large a backup is', async () => {
    let mostAhead = 0
    let produced = 0
    const content = new Readable({
      read() {
        produced += 2 ** 20
        const stored = storage.requests.filter(isPart).length * 16 * 2 ** 20
        mostAhead = Math.max(mostAhead, produced - stored)
        this.push(produced > 160 * 2 ** 20 ? null : Buffer.alloc(2 ** 20))
      },
    })
    await bucket.put(name(), content, never)
    expect(mostAhead).toBeLessThanOrEqual(34 * 2 ** 20)
  })

  for (const [what, fault] of [
    ['is reset', 'away'],
    ['is answered by status 500', 500],
    ['is answered by status 503', 503],
  ] as const)
    it(`repeats a request that ${what}`, async () => {
      const isFirst = [first(isPart), first(isCompletion), first(({ method }) => method === 'GET')]
      storage.fault = (request) => (isFirst.some((matches) => matches(request)) ? fault : null)
      await bucket.put(name(), large(), never)
      expect((await buffer((await bucket.get(name()))!)).length).toBe(40 * 2 ** 20)
      expect(storage.uploads.size).toBe(0)
    })

  it('leaves nothing that looks whole if a storage does not recover, and says how it failed', async () => {
    for (const [fault, reason] of [
      ['away', 'cannot be used: E'],
      [500, 'status 500'],
      [403, 'status 403'],
    ] as const) {
      storage.fault = (request) => (isPart(request) && request.query.get('partNumber') === '2' ? fault : null)
      const error = await problem(bucket.put(name(), large(), never))
      expect(error).toMatchObject(unavailable(reason))
      expect(error.message).not.toContain(new URL(storage.endpoint).host)
      expect(await kept.bucket()).toEqual([])
    }
  })

  it('leaves nothing that looks whole if the response to the last request is lost', async () => {
    storage.fault = (request) => (isCompletion(request) ? 500 : null)
    expect(await problem(bucket.put(name(), large(), never))).toMatchObject(unavailable('status 500'))
    expect(await kept.bucket()).toEqual([])
  })

  it('does not wait for a storage that stalls', async () => {
    const impatient = openBucket({ answerMs: 1_500 })
    storage.fault = (request) => (isPart(request) ? 'stall' : null)
    expect(await problem(impatient.put(name(), large(), never))).toMatchObject(unavailable('did not answer in time'))
    expect(await kept.bucket()).toEqual([])
  })

  it('says that a storage is full', async () => {
    storage.fault = (request) => (isPart(request) ? 507 : null)
    expect(await problem(bucket.put(name(), large(), never))).toMatchObject({ code: 'NO_CAPACITY' })
    expect(await kept.bucket()).toEqual([])
  })

  it('ends an upload when it is aborted, also while the storage does not answer', async () => {
    const stopping = new AbortController()
    storage.fault = (request) => (isPart(request) ? 'stall' : null)
    const putting = problem(bucket.put(name(), large(), stopping.signal))
    await until('a part is being sent', () => storage.requests.some(isPart))
    stopping.abort(new Error('enough'))
    expect((await putting).message).toBe('enough')
    expect(await kept.bucket()).toEqual([])
  })

  for (const fault of ['cut', 'stall'] as const)
    it(`continues a download that ${fault === 'cut' ? 'was cut off' : 'stalls'} where it ended`, async () => {
      const patient = openBucket({ stallMs: 100 })
      const content = Buffer.alloc(5 * 2 ** 20, 'abcdefg')
      await patient.put(name(), Readable.from([content]), never)
      const isFirst = first(({ method, query }) => method === 'GET' && !query.has('uploads'))
      storage.fault = (request) => (isFirst(request) ? fault : null)
      expect((await buffer((await patient.get(name()))!)).equals(content)).toBe(true)
      expect(storage.requests.at(-1)?.range).toMatch(/^bytes=[1-9]\d+-$/)
    })

  it('fails the download of a storage that does not recover, instead of ending it', async () => {
    await bucket.put(name(), Readable.from([Buffer.alloc(2 ** 20)]), never)
    storage.fault = ({ range }) => (range ? 500 : 'cut')
    expect(await problem(buffer((await bucket.get(name()))!))).toMatchObject(unavailable('status 500'))
  })

  it('does not take a bucket that does not exist for a missing backup', async () => {
    const other = openBucket({ bucket: 'other' })
    expect(await problem(other.get(other.nameOf('db/one')))).toMatchObject(unavailable('NoSuchBucket'))
  })

  it('contains no secret in its errors', async () => {
    storage.fault = () => 403
    const error = await problem(bucket.get(name()))
    expect(JSON.stringify([error, error.cause])).not.toContain('the secret of the bucket')
  })
})
