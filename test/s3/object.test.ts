/** Objects as the AWS SDK uses them, over each store. */
import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import {
  type ChecksumAlgorithm,
  CopyObjectCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { describe, expect, it } from 'vitest'
import { recount } from '../../src/domain/resources/stored-object/index.ts'
import { run, sql } from '../../src/platform/db/index.ts'
import { shiftClock } from '../support/database.ts'
import { clientOf, filesOf, insertBucket, refusalOf, runChore, s3World, stores, usageOf } from './support.ts'

const bytesOf = async ({ Body }: GetObjectCommandOutput): Promise<Buffer> => Buffer.from(await Body!.transformToByteArray())

describe.each(stores)('with the bytes in %s', (store) => {
  const s3 = s3World(store)
  const put = (Key: string, Body: Buffer | string, more: object = {}) =>
    s3.client.send(new PutObjectCommand({ Bucket: s3.bucket.name, Key, Body, ...more }))
  const get = (Key: string, more: object = {}) => s3.client.send(new GetObjectCommand({ Bucket: s3.bucket.name, Key, ...more }))
  const head = (Key: string, more: object = {}) => s3.client.send(new HeadObjectCommand({ Bucket: s3.bucket.name, Key, ...more }))
  const remove = (Key: string) => s3.client.send(new DeleteObjectCommand({ Bucket: s3.bucket.name, Key }))

  it('an object is returned with its bytes, content headers, metadata and ETag', async () => {
    const body = randomBytes(1_500_000)
    const described = {
      ContentType: 'image/png',
      ContentDisposition: 'attachment; filename="a.png"',
      ContentLanguage: 'de',
      CacheControl: 'max-age=60',
      Metadata: { author: 'Ada', 'with-dash': 'x y' },
    }
    const { ETag } = await put('a/b c+é%2F.png', body, { ...described, ContentEncoding: 'identity' })
    expect(ETag).toBe(`"${createHash('md5').update(body).digest('hex')}"`)
    const found = await get('a/b c+é%2F.png')
    expect(found).toMatchObject({ ...described, ContentEncoding: 'identity', ETag, ContentLength: body.length })
    expect((await bytesOf(found)).equals(body)).toBe(true)
    expect(await head('a/b c+é%2F.png')).toMatchObject({ ...described, ETag, ContentLength: body.length })
  })

  it('streams, empty objects and virtual hosts work like everything else', async () => {
    const body = randomBytes(700_000)
    const pieces = Readable.from([body.subarray(0, 10), body.subarray(10, 300_000), body.subarray(300_000)])
    await s3.client.send(new PutObjectCommand({ Bucket: s3.bucket.name, Key: 'stream', Body: pieces, ContentLength: body.length }))
    expect((await bytesOf(await get('stream'))).equals(body)).toBe(true)
    await put('empty', '')
    expect(await bytesOf(await get('empty'))).toHaveLength(0)
    expect((await head('empty')).ContentLength).toBe(0)
    const byHost = clientOf(`http://s3.localhost:${s3.port}`, s3.key, { forcePathStyle: false })
    byHost.middlewareStack.add(
      (next) => (input) => {
        const request = input.request as { hostname: string }
        // Node does not resolve names below localhost.
        request.hostname = '127.0.0.1'
        return next(input)
      },
      { step: 'finalizeRequest', priority: 'low', name: 'resolve' },
    )
    const found = await byHost.send(new GetObjectCommand({ Bucket: s3.bucket.name, Key: 'stream', Range: 'bytes=0-9' }))
    expect((await bytesOf(found)).equals(body.subarray(0, 10))).toBe(true)
    byHost.destroy()
  })

  it('ranges return a part of the object, and 416 outside of it', async () => {
    await put('range', '0123456789')
    const range = async (Range: string) => {
      const found = await get('range', { Range })
      return `${found.ContentRange} ${await found.Body!.transformToString()}`
    }
    expect(await range('bytes=2-4')).toBe('bytes 2-4/10 234')
    expect(await range('bytes=7-')).toBe('bytes 7-9/10 789')
    expect(await range('bytes=-3')).toBe('bytes 7-9/10 789')
    expect(await range('bytes=-99')).toBe('bytes 0-9/10 0123456789')
    expect(await range('bytes=8-999')).toBe('bytes 8-9/10 89')
    expect(await range('bytes=5-2')).toBe('undefined 0123456789')
    expect(await refusalOf(get('range', { Range: 'bytes=10-' }))).toBe('InvalidRange 416')
    expect((await head('range', { Range: 'bytes=2-4' })).ContentLength).toBe(3)
  })

  it('conditions hold for reads, for writes and for copies', async () => {
    const { ETag } = await put('condition', 'one')
    const { LastModified } = await head('condition')
    const later = new Date(LastModified!.getTime() + 60_000)
    const earlier = new Date(LastModified!.getTime() - 60_000)
    const refused = async (conditions: object) => refusalOf(get('condition', conditions))
    expect(await refused({ IfMatch: ETag })).toBe('done')
    expect(await refused({ IfMatch: '"other"' })).toBe('PreconditionFailed 412')
    expect(await refused({ IfNoneMatch: ETag })).toMatch(/ 304$/)
    expect(await refused({ IfModifiedSince: later })).toMatch(/ 304$/)
    expect(await refused({ IfModifiedSince: earlier })).toBe('done')
    expect(await refused({ IfUnmodifiedSince: earlier })).toBe('PreconditionFailed 412')

    expect(await refusalOf(put('condition', 'two', { IfNoneMatch: '*' }))).toBe('PreconditionFailed 412')
    expect(await refusalOf(put('condition', 'two', { IfMatch: '"other"' }))).toBe('PreconditionFailed 412')
    expect(await refusalOf(put('nothing', 'two', { IfMatch: ETag }))).toBe('NoSuchKey 404')
    expect(await refusalOf(put('condition', 'two', { IfMatch: ETag }))).toBe('done')
    const created = await Promise.all(Array.from({ length: 8 }, (_, n) => refusalOf(put('once', `${n}`, { IfNoneMatch: '*' }))))
    expect(created.sort()).toEqual([...Array<string>(7).fill('PreconditionFailed 412'), 'done'])

    const copy = (more: object) =>
      s3.client.send(new CopyObjectCommand({ Bucket: s3.bucket.name, Key: 'copied', CopySource: `${s3.bucket.name}/condition`, ...more }))
    expect(await refusalOf(copy({ CopySourceIfMatch: ETag }))).toBe('PreconditionFailed 412')
    expect(await refusalOf(copy({ CopySourceIfNoneMatch: ETag }))).toBe('done')
  })

  it('a copy has the bytes of its source, whose deletion does not remove them', async () => {
    const body = randomBytes(100_000)
    await put('source ü', body, { ContentType: 'text/plain', Metadata: { a: '1' } })
    const copy = (Key: string, more: object = {}) =>
      s3.client.send(
        new CopyObjectCommand({ Bucket: s3.bucket.name, Key, CopySource: encodeURIComponent(`${s3.bucket.name}/source ü`), ...more }),
      )
    await copy('kept')
    await copy('replaced', { MetadataDirective: 'REPLACE', ContentType: 'text/html', Metadata: { b: '2' } })
    expect(await refusalOf(copy('source ü'))).toBe('InvalidRequest 400')
    await copy('source ü', { MetadataDirective: 'REPLACE', ContentType: 'text/css' })
    expect((await head('source ü')).ContentType).toBe('text/css')
    await remove('source ü')
    await shiftClock(s3.world.url, 3_600_000)
    await runChore(s3, 'purge blobs')
    await shiftClock(s3.world.url, 0)
    for (const key of ['kept', 'replaced']) expect((await bytesOf(await get(key))).equals(body)).toBe(true)
    expect(await head('kept')).toMatchObject({ ContentType: 'text/plain', Metadata: { a: '1' } })
    expect(await head('replaced')).toMatchObject({ ContentType: 'text/html', Metadata: { b: '2' } })
    expect(await refusalOf(get('source ü'))).toBe('NoSuchKey 404')
  })

  it.each(['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as ChecksumAlgorithm[])(
    'the checksum %s is verified, stored and returned',
    async (algorithm) => {
      const body = randomBytes(200_003)
      const stored = await put(`checksum ${algorithm}`, body, { ChecksumAlgorithm: algorithm })
      const name = `Checksum${algorithm}` as 'ChecksumCRC32'
      expect(stored[name]).toMatch(/=$/)
      const found = await get(`checksum ${algorithm}`, { ChecksumMode: 'ENABLED' })
      expect(found[name]).toBe(stored[name])
      // The SDK compares the bytes with it while they are read.
      expect((await bytesOf(found)).equals(body)).toBe(true)
      const wrong = { [name]: Buffer.alloc(Buffer.from(stored[name]!, 'base64').length, 1).toString('base64') }
      expect(await refusalOf(put(`checksum ${algorithm}`, body, wrong))).toBe('BadDigest 400')
      expect(await refusalOf(put(`checksum ${algorithm}`, body, { [name]: 'AAAA' }))).toBe('InvalidRequest 400')
    },
  )

  it('a Content-MD5 of other bytes is refused, and nothing is stored', async () => {
    const before = await usageOf(s3, s3.bucket)
    const md5 = (text: string) => createHash('md5').update(text).digest('base64')
    expect(await refusalOf(put('md5', 'one', { ContentMD5: md5('two') }))).toBe('BadDigest 400')
    expect(await refusalOf(put('md5', 'one', { ContentMD5: 'AAAA' }))).toBe('InvalidDigest 400')
    expect(await usageOf(s3, s3.bucket)).toEqual(before)
    expect(await refusalOf(put('md5', 'one', { ContentMD5: md5('one') }))).toBe('done')
  })

  it('the counters follow every change, the bytes are removed, and a recount corrects what went wrong', async () => {
    const bucket = await insertBucket(s3, s3.tenant)
    const client = clientOf(s3.url, await (await import('./support.ts')).insertKey(s3, s3.tenant, [bucket]))
    const Bucket = bucket.name
    for (const [Key, size] of [
      ['a', 100],
      ['b', 200],
      ['a', 50],
    ] as const)
      await client.send(new PutObjectCommand({ Bucket, Key, Body: randomBytes(size) }))
    expect(await usageOf(s3, bucket)).toMatchObject({ bytes: 250, objects: 2, blobs: 3 })
    await run(s3.app.db, sql`update bucket set size_bytes = 7, object_count = 9 where id = ${bucket.id}::uuid`)
    await recount(s3.app, bucket)
    expect(await usageOf(s3, bucket)).toMatchObject({ bytes: 250, objects: 2 })
    const deleted = await client.send(
      new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'a' }, { Key: 'b' }, { Key: 'unknown' }, { Key: 'x\u0001' }] } }),
    )
    expect(deleted.Deleted?.map(({ Key }) => Key)).toEqual(['a', 'b', 'unknown'])
    expect(deleted.Errors?.map(({ Code }) => Code)).toEqual(['InvalidArgument'])
    expect(await usageOf(s3, bucket)).toMatchObject({ bytes: 0, objects: 0, blobs: 3 })
    await shiftClock(s3.world.url, 3_600_000)
    await runChore(s3, 'purge blobs')
    await shiftClock(s3.world.url, 0)
    expect(await usageOf(s3, bucket)).toMatchObject({ blobs: 0 })
    client.destroy()
  })

  it('answers what clients ask about buckets', async () => {
    expect((await s3.client.send(new ListBucketsCommand({}))).Buckets?.map(({ Name }) => Name)).toEqual([s3.bucket.name])
    expect(await refusalOf(s3.client.send(new HeadBucketCommand({ Bucket: s3.bucket.name })))).toBe('done')
    expect(await refusalOf(s3.client.send(new HeadBucketCommand({ Bucket: 'unknown-bucket' })))).toBe('NotFound 404')
  })
})

describe('the disk', () => {
  const s3 = s3World()

  it('holds a file for each blob and no drafts', async () => {
    const { Bucket } = { Bucket: s3.bucket.name }
    await s3.client.send(new PutObjectCommand({ Bucket, Key: '../../etc/passwd', Body: 'x' }))
    expect(await filesOf(s3)).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/)])
    const found = await s3.client.send(new GetObjectCommand({ Bucket, Key: '../../etc/passwd' }))
    expect(await found.Body!.transformToString()).toBe('x')
  })
})
