/** What no well-behaved client sends. Whatever is refused leaves nothing behind. */
import { createHash, randomBytes } from 'node:crypto'
import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { beforeEach, expect, it } from 'vitest'
import { row, run, sql } from '../../src/platform/db/index.ts'
import { until } from '../support/wait.ts'
import { open, send, signedHeaders } from './raw.ts'
import { filesOf, insertBucket, insertKey, refusalOf, runChore, s3World, usageOf } from './support.ts'

const quota = 10_000_000
const s3 = s3World('files', { settings: { STORAGE_MAX_BYTES: String(quota) }, patience: { stallMs: 400, bytesPerSecond: 16 * 1024 } })
const nothing = { bytes: 0, objects: 0, tenantBytes: 0, blobs: 0, uploads: 0 }

const signed = (method: string, path: string, more: { query?: string; payload?: string; headers?: Record<string, string> } = {}) =>
  signedHeaders({ method, path, host: `127.0.0.1:${s3.port}`, key: s3.key, ...more }).headers
const request = (method: string, path: string, body?: string | Buffer, more: Parameters<typeof signed>[2] = {}) => {
  const url = `/${s3.bucket.name}${path}`
  return send({
    method,
    path: more.query ? `${url}?${more.query}` : url,
    headers: signed(method, url, more),
    ...(body === undefined ? {} : { body }),
    port: s3.port,
  })
}

/** The head of a PUT, as text. */
const headOf = (path: string, announced: number, more: Record<string, string> = {}) => {
  const url = `/${s3.bucket.name}${path}`
  const headers = { ...signed('PUT', url), 'content-length': String(announced), connection: 'close', ...more }
  return `PUT ${url} HTTP/1.1\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`
}

const isClean = async () => {
  await runChore(s3, 'purge blobs')
  return JSON.stringify(await usageOf(s3, s3.bucket)) === JSON.stringify(nothing) && (await filesOf(s3)).length === 0
}

beforeEach(async () => {
  expect(await isClean()).toBe(true)
})

it('keys are limited to what S3 and XML can represent', async () => {
  const put = (Key: string) => refusalOf(s3.client.send(new PutObjectCommand({ Bucket: s3.bucket.name, Key, Body: '' })))
  expect(await put('k'.repeat(1_025))).toBe('KeyTooLongError 400')
  expect(await put('ü'.repeat(513))).toBe('KeyTooLongError 400')
  for (const key of ['a\u0000b', 'a\nb', 'a\u007f', '\u001b[31m']) expect(await put(key)).toBe('InvalidArgument 400')
  expect(await request('PUT', '/%ff%fe', '')).toMatchObject({ status: 400, code: 'InvalidURI' })
  for (const key of ['ü'.repeat(512), 'a//b', '/a', 'a/../../b', '..', '😀', ' ', 'a?b#c&d=e+f%20']) {
    expect([key, await put(key)]).toEqual([key, 'done'])
    expect(await refusalOf(s3.client.send(new GetObjectCommand({ Bucket: s3.bucket.name, Key: key })))).toBe('done')
    expect((await request('DELETE', `/${encodeURIComponent(key).replaceAll('%2F', '/')}`)).status).toBe(204)
  }
  await run(s3.app.db, sql`update object_blob set removable_at = app_now() where bucket_id = ${s3.bucket.id}::uuid`)
})

it('5 GiB that are announced and never sent cost nothing, and more than 5 GiB are refused before they are sent', async () => {
  const { socket, answer } = open(s3.port)
  socket.write(headOf('/large', 5 * 1024 ** 3))
  socket.write(randomBytes(1_024))
  expect(await answer).toContain('<Code>QuotaExceeded</Code>')
  const beyond = open(s3.port)
  beyond.socket.write(headOf('/large', 5 * 1024 ** 3 + 1, { expect: '100-continue' }))
  const text = await beyond.answer
  expect(text).toContain('<Code>EntityTooLarge</Code>')
  expect(text).not.toContain('100 Continue')
  expect(await isClean()).toBe(true)
})

it('a client that stalls, trickles or disconnects in an upload stores nothing', async () => {
  const stalled = open(s3.port)
  stalled.socket.write(headOf('/stalled', 1_000_000))
  stalled.socket.write(randomBytes(500_000))
  expect(await stalled.answer).toContain('<Code>RequestTimeout</Code>')
  const cut = open(s3.port)
  cut.socket.write(headOf('/cut', 1_000_000))
  cut.socket.write(randomBytes(500_000))
  await until('the upload has begun', async () => (await usageOf(s3, s3.bucket)).blobs > 0)
  cut.socket.destroy()
  await until('nothing is left', isClean)
  expect(await request('GET', '/cut')).toMatchObject({ status: 404 })
})

it('a body of another length or hash than announced is refused', async () => {
  const sha256 = createHash('sha256').update('announced').digest('hex')
  expect(await request('PUT', '/a', 'different', { payload: sha256 })).toMatchObject({ status: 400, code: 'XAmzContentSHA256Mismatch' })
  expect(await request('PUT', '/a', 'x', { payload: 'nonsense' })).toMatchObject({ status: 400, code: 'InvalidArgument' })
  const chunked = { payload: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER', headers: { 'x-amz-decoded-content-length': '3' } }
  expect(await request('PUT', '/a', '5\r\nhello\r\n0\r\n\r\n', chunked)).toMatchObject({ status: 400, code: 'InvalidRequest' })
  expect(await request('PUT', '/a', '2\r\nhe\r\n0\r\n\r\n', chunked)).toMatchObject({ status: 400, code: 'IncompleteBody' })
  expect(await request('PUT', '/a', 'x', { headers: { 'transfer-encoding': 'chunked' } })).toMatchObject({
    status: 411,
    code: 'MissingContentLength',
  })
  expect(await isClean()).toBe(true)
})

it('a quota that is exceeded before, in the middle of, or by the parts of an upload stores nothing of it', async () => {
  const put = (Key: string, bytes: number) =>
    refusalOf(s3.client.send(new PutObjectCommand({ Bucket: s3.bucket.name, Key, Body: Buffer.alloc(bytes) })))
  expect(await put('too large', quota + 1)).toBe('QuotaExceeded 403')
  expect(await isClean()).toBe(true)
  const slow = open(s3.port)
  slow.socket.write(headOf('/slow', 6_000_000))
  slow.socket.write(Buffer.alloc(3_000_000))
  await until('the upload has begun', async () => (await usageOf(s3, s3.bucket)).blobs > 0)
  expect(await put('fast', 6_000_000)).toBe('done')
  slow.socket.write(Buffer.alloc(3_000_000))
  expect(await slow.answer).toContain('<Code>QuotaExceeded</Code>')
  await until('only one object is left', async () => {
    await runChore(s3, 'purge blobs')
    return (await usageOf(s3, s3.bucket)).blobs === 1
  })
  expect(await usageOf(s3, s3.bucket)).toMatchObject({ bytes: 6_000_000, objects: 1, tenantBytes: 6_000_000 })
  // An object may be replaced by one that is as large.
  expect(await put('fast', 6_000_000)).toBe('done')

  const named = { Bucket: s3.bucket.name, Key: 'parts' }
  const { UploadId } = await s3.client.send(new CreateMultipartUploadCommand(named))
  const part = (PartNumber: number, bytes: number) =>
    refusalOf(s3.client.send(new UploadPartCommand({ ...named, UploadId, PartNumber, Body: Buffer.alloc(bytes) })))
  expect(await part(1, 3_000_000)).toBe('done')
  expect(await part(2, 3_000_000)).toBe('QuotaExceeded 403')
  await s3.client.send(new AbortMultipartUploadCommand({ ...named, UploadId }))
  expect((await request('DELETE', '/fast')).status).toBe(204)
  await until('nothing is left', async () => {
    await run(s3.app.db, sql`update object_blob set removable_at = app_now() where bucket_id = ${s3.bucket.id}::uuid`)
    return isClean()
  })
})

it.each([
  ['no XML', 'x'],
  ['another document', '<Other/>'],
  ['an entity', '<!DOCTYPE a [<!ENTITY b "bbbbbbbb">]><Delete><Object><Key>&b;</Key></Object></Delete>'],
  ['no object', '<Delete></Delete>'],
  ['1,001 objects', `<Delete>${'<Object><Key>a</Key></Object>'.repeat(1_001)}</Delete>`],
  ['nesting', `<Delete>${'<a>'.repeat(100_000)}`],
  ['many elements', `<Delete>${'<a/>'.repeat(500_000)}</Delete>`],
])('XML with %s is refused', async (_, body) => {
  expect(await request('POST', '', body, { query: 'delete=' })).toMatchObject({ status: 400, code: 'MalformedXML' })
})

it('XML that is too large is refused, with its length announced or not', async () => {
  const body = Buffer.alloc(4 * 1024 ** 2, 'x')
  expect(await request('POST', '', body, { query: 'delete=' })).toMatchObject({ status: 400, code: 'MaxMessageLengthExceeded' })
  expect(await request('POST', '', body, { query: 'delete=', headers: { 'transfer-encoding': 'chunked' } })).toMatchObject({
    code: 'MaxMessageLengthExceeded',
  })
})

it('requests that make no sense get an error in XML, and the endpoint goes on', async () => {
  for (const [method, path, query, status, code] of [
    ['PUT', '', 'versioning=', 501, 'NotImplemented'],
    ['GET', '', 'max-keys=x', 400, 'InvalidArgument'],
    ['GET', '', 'max-keys=-1', 400, 'InvalidArgument'],
    ['GET', '', 'continuation-token=zz&list-type=2', 400, 'InvalidArgument'],
    ['GET', '', 'encoding-type=base64', 400, 'InvalidArgument'],
    ['GET', '', 'prefix=%00', 400, 'InvalidArgument'],
    ['GET', '/a', 'versionId=5', 400, 'InvalidArgument'],
    ['PUT', '/a', 'partNumber=1&uploadId=x', 404, 'NoSuchUpload'],
    ['POST', '/a', '', 501, 'NotImplemented'],
    ['PATCH', '/a', '', 501, 'NotImplemented'],
  ] as const)
    expect([query, await request(method, path, method === 'GET' ? undefined : '', query ? { query } : {})]).toMatchObject([
      query,
      { status, code },
    ])
  const broken = open(s3.port)
  broken.socket.write('nonsense\r\n\r\n')
  expect(await broken.answer).toContain('<Code>BadRequest</Code>')
  const headers = open(s3.port)
  headers.socket.write(`GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(70_000)}\r\n\r\n`)
  expect(await headers.answer).toContain('<Code>RequestHeaderSectionTooLarge</Code>')
  const metadata = await request('PUT', '/a', 'x', { headers: { 'x-amz-meta-a': 'y'.repeat(2_048) } })
  expect(metadata).toMatchObject({ status: 400, code: 'MetadataTooLarge' })
})

it.each(['h2c', 'websocket'])('an offer to upgrade to %s is not taken up, and the request is answered', async (upgrade) => {
  const headers = { connection: 'Upgrade', upgrade }
  expect(await send({ path: '/', headers, port: s3.port })).toMatchObject({ status: 403, code: 'AccessDenied' })
})

it('a bucket that is deleted during an upload does not get the object', async () => {
  const bucket = await insertBucket(s3, s3.tenant)
  const key = await insertKey(s3, s3.tenant, [bucket])
  const url = `/${bucket.name}/late`
  const { headers } = signedHeaders({ method: 'PUT', path: url, host: `127.0.0.1:${s3.port}`, key })
  const { socket, answer } = open(s3.port)
  socket.write(
    `PUT ${url} HTTP/1.1\r\n${Object.entries({ ...headers, 'content-length': '10', connection: 'close' })
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('')}\r\n12345`,
  )
  await until('the upload has begun', async () => (await usageOf(s3, bucket)).blobs > 0)
  await run(s3.app.db, sql`update bucket set deleting_at = app_now() where id = ${bucket.id}::uuid`)
  socket.write('67890')
  expect(await answer).toContain('<Code>NoSuchBucket</Code>')
  expect(await row(s3.app.db, sql`select 1 as one from stored_object where bucket_id = ${bucket.id}::uuid`)).toBeNull()
})
