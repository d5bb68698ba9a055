/** Uploads in parts, over each store. */
import { createHash, randomBytes } from 'node:crypto'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { describe, expect, it } from 'vitest'
import { createDigest } from '../../src/domain/resources/stored-object/index.ts'
import { shiftClock } from '../support/database.ts'
import { clientOf, insertBucket, insertKey, refusalOf, runChore, s3World, stores, usageOf } from './support.ts'

const partBytes = 5 * 1024 ** 2

describe.each(stores)('with the bytes in %s', (store) => {
  const s3 = s3World(store)
  const named = (Key: string) => ({ Bucket: s3.bucket.name, Key })
  const create = async (Key: string, more: object = {}) =>
    (await s3.client.send(new CreateMultipartUploadCommand({ ...named(Key), ...more }))).UploadId!
  const part = (Key: string, UploadId: string, PartNumber: number, Body: Buffer, more: object = {}) =>
    s3.client.send(new UploadPartCommand({ ...named(Key), UploadId, PartNumber, Body, ...more }))
  const complete = (Key: string, UploadId: string, Parts: object[], more: object = {}) =>
    s3.client.send(new CompleteMultipartUploadCommand({ ...named(Key), UploadId, MultipartUpload: { Parts }, ...more }))

  it('an object of parts has all of their bytes, and is read by ranges and by part', async () => {
    const bytes = randomBytes(2 * partBytes + 1_000)
    const upload = new Upload({
      client: s3.client,
      params: { ...named('large'), Body: bytes, ContentType: 'video/mp4', Metadata: { a: '1' } },
      partSize: partBytes,
    })
    const { ETag } = await upload.done()
    const pieces = [bytes.subarray(0, partBytes), bytes.subarray(partBytes, 2 * partBytes), bytes.subarray(2 * partBytes)]
    const md5 = (data: Buffer) => createHash('md5').update(data).digest()
    expect(ETag).toBe(`"${md5(Buffer.concat(pieces.map(md5))).toString('hex')}-3"`)
    const found = await s3.client.send(new GetObjectCommand(named('large')))
    expect(found).toMatchObject({ ContentType: 'video/mp4', Metadata: { a: '1' }, ContentLength: bytes.length })
    expect(Buffer.from(await found.Body!.transformToByteArray()).equals(bytes)).toBe(true)
    const range = await s3.client.send(new GetObjectCommand({ ...named('large'), Range: `bytes=${partBytes - 5}-${partBytes + 4}` }))
    expect(Buffer.from(await range.Body!.transformToByteArray()).equals(bytes.subarray(partBytes - 5, partBytes + 5))).toBe(true)
    const third = await s3.client.send(new GetObjectCommand({ ...named('large'), PartNumber: 3 }))
    expect(third).toMatchObject({ PartsCount: 3, ContentLength: 1_000 })
    expect(Buffer.from(await third.Body!.transformToByteArray()).equals(pieces[2]!)).toBe(true)
    expect(await refusalOf(s3.client.send(new GetObjectCommand({ ...named('large'), PartNumber: 4 })))).toBe('InvalidRange 416')
    expect(await usageOf(s3, s3.bucket)).toMatchObject({ bytes: bytes.length, objects: 1, uploads: 0 })
  })

  it.each([
    ['CRC32', 'FULL_OBJECT'],
    ['CRC64NVME', 'FULL_OBJECT'],
    ['CRC32C', 'FULL_OBJECT'],
    ['SHA256', 'COMPOSITE'],
  ] as const)('the checksum %s (%s) of an object is computed from those of its parts', async (ChecksumAlgorithm, ChecksumType) => {
    const key = `checksum ${ChecksumAlgorithm}`
    const pieces = [randomBytes(partBytes), randomBytes(12_345)] as const
    const id = await create(key, { ChecksumAlgorithm, ChecksumType })
    const parts = await Promise.all(
      pieces.map(async (bytes, at) => {
        const { ETag, ...stored } = await part(key, id, at + 1, bytes, { ChecksumAlgorithm })
        return { PartNumber: at + 1, ETag, [`Checksum${ChecksumAlgorithm}`]: stored[`Checksum${ChecksumAlgorithm}` as 'ChecksumCRC32'] }
      }),
    )
    const digest = await createDigest(ChecksumAlgorithm)
    for (const bytes of ChecksumType === 'FULL_OBJECT' ? pieces : pieces.map((piece) => createHash('sha256').update(piece).digest()))
      digest.update(bytes)
    const expected = (await digest.digest()) + (ChecksumType === 'COMPOSITE' ? '-2' : '')
    const name = `Checksum${ChecksumAlgorithm}` as 'ChecksumCRC32'
    const wrong = { [name]: Buffer.alloc(Buffer.from(expected, 'base64').length).toString('base64') }
    expect(await refusalOf(complete(key, id, parts, wrong))).toBe('BadDigest 400')
    expect(await refusalOf(complete(key, id, [{ ...parts[0], ...wrong }, parts[1]!]))).toBe('InvalidPart 400')
    expect((await complete(key, id, parts))[name]).toBe(expected)
    expect(await s3.client.send(new HeadObjectCommand({ ...named(key), ChecksumMode: 'ENABLED' }))).toMatchObject({
      [name]: expected,
      ChecksumType,
    })
  })

  it('parts can be copied, replaced and listed, and those that are not named are removed', async () => {
    const bytes = randomBytes(partBytes + 100)
    await s3.client.send(new PutObjectCommand({ ...named('copy source'), Body: bytes }))
    const before = await usageOf(s3, s3.bucket)
    const id = await create('of parts')
    const copied = await s3.client.send(
      new UploadPartCopyCommand({
        ...named('of parts'),
        UploadId: id,
        PartNumber: 2,
        CopySource: `${s3.bucket.name}/copy source`,
        CopySourceRange: `bytes=100-${partBytes + 99}`,
      }),
    )
    await part('of parts', id, 7, Buffer.from('one'))
    const last = await part('of parts', id, 7, Buffer.from('three'))
    await part('of parts', id, 9, Buffer.from('not named'))
    const listed = await s3.client.send(new ListPartsCommand({ ...named('of parts'), UploadId: id, MaxParts: 2 }))
    expect(listed.Parts?.map(({ PartNumber, Size }) => [PartNumber, Size])).toEqual([
      [2, partBytes],
      [7, 5],
    ])
    const rest = await s3.client.send(
      new ListPartsCommand({ ...named('of parts'), UploadId: id, PartNumberMarker: listed.NextPartNumberMarker }),
    )
    expect(rest.Parts?.map(({ PartNumber }) => PartNumber)).toEqual([9])
    expect(
      (await s3.client.send(new ListMultipartUploadsCommand({ Bucket: s3.bucket.name, Prefix: 'of' }))).Uploads?.map(
        ({ UploadId }) => UploadId,
      ),
    ).toEqual([id])
    const parts = [
      { PartNumber: 2, ETag: copied.CopyPartResult!.ETag },
      { PartNumber: 7, ETag: last.ETag },
    ]
    const { ETag } = await complete('of parts', id, parts)
    // A client that lost the response repeats the request.
    expect((await complete('of parts', id, parts)).ETag).toBe(ETag)
    const found = await s3.client.send(new GetObjectCommand(named('of parts')))
    const expected = Buffer.concat([bytes.subarray(100), Buffer.from('three')])
    expect(Buffer.from(await found.Body!.transformToByteArray()).equals(expected)).toBe(true)
    expect(await usageOf(s3, s3.bucket)).toMatchObject({ bytes: before.bytes + partBytes + 5, objects: before.objects + 1, uploads: 0 })
  })

  it('a request that names wrong parts is refused, and the upload can still be completed or aborted', async () => {
    const before = await usageOf(s3, s3.bucket)
    const id = await create('wrong')
    const small = { PartNumber: 1, ETag: (await part('wrong', id, 1, Buffer.from('small'))).ETag }
    const second = { PartNumber: 2, ETag: (await part('wrong', id, 2, Buffer.from('second'))).ETag }
    expect(await refusalOf(complete('wrong', id, [small, second]))).toBe('EntityTooSmall 400')
    expect(await refusalOf(complete('wrong', id, [second, small]))).toBe('InvalidPartOrder 400')
    expect(await refusalOf(complete('wrong', id, [{ ...small, ETag: '"0"' }]))).toBe('InvalidPart 400')
    expect(await refusalOf(complete('wrong', id, [{ ...small, PartNumber: 3 }]))).toBe('InvalidPart 400')
    expect(await refusalOf(complete('wrong', id, []))).toBe('MalformedXML 400')
    expect(await refusalOf(part('wrong', id, 10_001, Buffer.from('x')))).toBe('InvalidArgument 400')
    expect(await refusalOf(part('other key', id, 1, Buffer.from('x')))).toBe('NoSuchUpload 404')
    expect(await refusalOf(part('wrong', 'no-id', 1, Buffer.from('x')))).toBe('NoSuchUpload 404')
    await s3.client.send(new AbortMultipartUploadCommand({ ...named('wrong'), UploadId: id }))
    expect(await refusalOf(part('wrong', id, 1, Buffer.from('x')))).toBe('NoSuchUpload 404')
    await runChore(s3, 'purge blobs')
    expect(await usageOf(s3, s3.bucket)).toEqual(before)
  })

  it('an upload that is never completed expires', async () => {
    const bucket = await insertBucket(s3, s3.tenant)
    const client = clientOf(s3.url, await insertKey(s3, s3.tenant, [bucket]))
    const name = { Bucket: bucket.name, Key: 'forgotten' }
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(name))
    await client.send(new UploadPartCommand({ ...name, UploadId, PartNumber: 1, Body: Buffer.alloc(1_000) }))
    await runChore(s3, 'expire multipart uploads')
    expect(await usageOf(s3, bucket)).toMatchObject({ bytes: 1_000, uploads: 1, blobs: 1 })
    await shiftClock(s3.world.url, 8 * 24 * 3_600_000)
    await runChore(s3, 'expire multipart uploads')
    await runChore(s3, 'purge blobs')
    await shiftClock(s3.world.url, 0)
    expect(await usageOf(s3, bucket)).toMatchObject({ bytes: 0, objects: 0, uploads: 0, blobs: 0 })
    client.destroy()
  })
})
