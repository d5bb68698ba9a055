/** Who may do what at the S3 endpoint, and in which ways requests are signed. */
import { createHash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketAclCommand,
  GetBucketCorsCommand,
  GetBucketLocationCommand,
  GetBucketPolicyCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { expect, it } from 'vitest'
import { run, sql } from '../../src/platform/db/index.ts'
import { presign } from '../../src/platform/s3-signature.ts'
import { createTenant } from '../support/tenant.ts'
import { send, signedChunks, signedHeaders } from './raw.ts'
import { clientOf, insertBucket, insertKey, type Permissions, refusalOf, s3World, usageOf } from './support.ts'

const s3 = s3World()
const named = (Key: string) => ({ Bucket: s3.bucket.name, Key })

it('a key can do what its permissions say, and nothing else', async () => {
  await s3.client.send(new PutObjectCommand({ ...named('permitted'), Body: 'x' }))
  const outcomes = async (permissions: Permissions) => {
    const client = clientOf(s3.url, await insertKey(s3, s3.tenant, [s3.bucket], permissions))
    const { Bucket } = named('')
    const found = {
      get: await refusalOf(client.send(new GetObjectCommand(named('permitted')))),
      list: await refusalOf(client.send(new ListObjectsV2Command({ Bucket }))),
      put: await refusalOf(client.send(new PutObjectCommand({ ...named('other'), Body: 'x' }))),
      delete: await refusalOf(client.send(new DeleteObjectCommand(named('other')))),
      deleteMany: await refusalOf(client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'other' }] } }))),
    }
    client.destroy()
    return Object.entries(found).flatMap(([name, outcome]) =>
      outcome === 'done' ? [name] : outcome === 'AccessDenied 403' ? [] : [outcome],
    )
  }
  expect(await outcomes({ read: true })).toEqual(['get', 'list'])
  expect(await outcomes({ write: true })).toEqual(['put'])
  expect(await outcomes({ delete: true })).toEqual(['delete', 'deleteMany'])
  expect(await outcomes({ admin: true })).toEqual([])
})

it('a bucket that the key does not include is refused, and one of another organization does not exist', async () => {
  const own = await insertBucket(s3, s3.tenant)
  const stranger = await createTenant(s3.app)
  const foreign = await insertBucket(s3, stranger)
  const get = (Bucket: string) => refusalOf(s3.client.send(new GetObjectCommand({ Bucket, Key: 'x' })))
  expect(await get(own.name)).toBe('AccessDenied 403')
  expect([await get(foreign.name), await get('no-such-bucket')]).toEqual(['NoSuchBucket 404', 'NoSuchBucket 404'])
  const copy = { headers: { 'x-amz-copy-source': `/${foreign.name}/x` }, method: 'PUT', path: `/${s3.bucket.name}/copy` }
  const { headers } = signedHeaders({ ...copy, host: `127.0.0.1:${s3.port}`, key: s3.key })
  expect(await send({ ...copy, headers, port: s3.port })).toMatchObject({ status: 404, code: 'NoSuchBucket' })
  expect(await refusalOf(s3.client.send(new CreateBucketCommand({ Bucket: 'made-by-client' })))).toBe('AccessDenied 403')
  expect(await refusalOf(s3.client.send(new CreateBucketCommand({ Bucket: s3.bucket.name })))).toBe('BucketAlreadyOwnedByYou 409')
})

it('the creation of a bucket in another region is refused as any other, and only with a valid signature', async () => {
  const create = () => new CreateBucketCommand({ Bucket: 'made-elsewhere' })
  const client = clientOf(s3.url, s3.key, { region: 'US' })
  const wrong = clientOf(s3.url, { ...s3.key, secretAccessKey: 'x'.repeat(40) }, { region: 'US' })
  expect(await refusalOf(client.send(create()))).toBe('AccessDenied 403')
  expect(await refusalOf(wrong.send(create()))).toBe('SignatureDoesNotMatch 403')
  for (const one of [client, wrong]) one.destroy()
})

it('a revoked key is refused by the next request, and unknown keys and wrong secrets always', async () => {
  const key = await insertKey(s3, s3.tenant, [s3.bucket])
  const client = clientOf(s3.url, key)
  await client.send(new PutObjectCommand({ ...named('revoked'), Body: 'x' }))
  await run(s3.app.db, sql`delete from storage_key where id = ${key.id}::uuid`)
  const dropped = s3.app.wake.next('credentials', 10_000, new AbortController().signal)
  s3.app.wake.notify('credentials')
  await dropped
  expect(await refusalOf(client.send(new GetObjectCommand(named('revoked'))))).toBe('InvalidAccessKeyId 403')
  const wrong = clientOf(s3.url, { ...s3.key, secretAccessKey: 'x'.repeat(40) })
  expect(await refusalOf(wrong.send(new GetObjectCommand(named('revoked'))))).toBe('SignatureDoesNotMatch 403')
  const region = clientOf(s3.url, s3.key, { region: 'eu-central-1' })
  expect(await refusalOf(region.send(new GetObjectCommand(named('revoked'))))).toBe('AuthorizationHeaderMalformed 400')
  const late = clientOf(s3.url, s3.key, { systemClockOffset: -16 * 60_000 })
  expect(await refusalOf(late.send(new GetObjectCommand(named('revoked'))))).toBe('RequestTimeTooSkewed 403')
  for (const one of [client, wrong, region, late]) one.destroy()
})

it('presigned URLs of the SDK and of the program work without a key, for what they name only', async () => {
  const put = await getSignedUrl(s3.client, new PutObjectCommand({ ...named('presigned ü'), ContentType: 'text/plain' }), { expiresIn: 60 })
  const stored = await fetch(put, { method: 'PUT', body: 'hello', headers: { 'content-type': 'text/plain' } })
  expect(stored.status).toBe(200)
  const get = await getSignedUrl(s3.client, new GetObjectCommand({ ...named('presigned ü'), ResponseContentType: 'text/css' }), {
    expiresIn: 60,
  })
  const found = await fetch(get)
  expect([found.headers.get('content-type'), await found.text()]).toEqual(['text/css', 'hello'])
  expect((await fetch(get.replace('presigned', 'other'))).status).toBe(403)
  expect((await fetch(get, { method: 'DELETE' })).status).toBe(403)

  const own = { endpoint: s3.url, region: 'us-east-1', ...s3.key, bucket: s3.bucket.name, expiresInSeconds: 60, now: new Date() }
  const upload = await presign({ ...own, method: 'PUT', key: 'own', contentType: 'image/png' })
  expect((await fetch(upload.url, { method: 'PUT', body: 'x', headers: upload.headers })).status).toBe(200)
  expect((await fetch(upload.url, { method: 'PUT', body: 'x', headers: { 'content-type': 'text/html' } })).status).toBe(403)
  const download = await presign({ ...own, method: 'GET', key: 'own' })
  expect((await fetch(download.url)).headers.get('content-type')).toBe('image/png')
  const expired = await presign({ ...own, method: 'GET', key: 'own', now: new Date(Date.now() - 61_000) })
  const refused = await fetch(expired.url)
  expect([refused.status, await refused.text()]).toEqual([403, expect.stringContaining('<Code>AccessDenied</Code>')])
})

it('objects of a public bucket can be read without a key, and nothing else', async () => {
  const bucket = await insertBucket(s3, s3.tenant, undefined, { public: true, cacheControl: 'max-age=600' })
  const client = clientOf(s3.url, await insertKey(s3, s3.tenant, [bucket]))
  await client.send(new PutObjectCommand({ Bucket: bucket.name, Key: 'a.txt', Body: 'public' }))
  const open = (method: string, path: string) => send({ method, path: `/${bucket.name}${path}`, port: s3.port })
  expect(await open('GET', '/a.txt')).toMatchObject({ status: 200, body: 'public', headers: { 'cache-control': 'max-age=600' } })
  expect((await open('HEAD', '/a.txt')).status).toBe(200)
  expect(await open('GET', '/none')).toMatchObject({ status: 404, code: 'NoSuchKey' })
  for (const [method, path] of [
    ['GET', ''],
    ['GET', '?list-type=2'],
    ['GET', '?uploads'],
    ['GET', '/a.txt?acl'],
    ['PUT', '/b.txt'],
    ['DELETE', '/a.txt'],
    ['POST', '/a.txt?uploads'],
  ] as const)
    expect(await open(method, path)).toMatchObject({ status: 403, code: 'AccessDenied' })
  expect(await open('GET', '/a.txt?response-content-type=text/html')).toMatchObject({ status: 400, code: 'InvalidRequest' })
  // A bucket that is not public is answered like one that does not exist.
  for (const name of [s3.bucket.name, 'no-such-bucket']) {
    expect(await send({ path: `/${name}/a.txt`, port: s3.port })).toMatchObject({ status: 403, code: 'AccessDenied' })
  }
  client.destroy()
})

it('browsers may do what the CORS rules of the bucket permit', async () => {
  const rule = {
    allowedOrigins: ['https://*.example.com'],
    allowedMethods: ['GET', 'PUT'],
    allowedHeaders: ['content-*', 'x-amz-date'],
    exposeHeaders: ['ETag'],
    maxAgeSeconds: 600,
  }
  const bucket = await insertBucket(s3, s3.tenant, undefined, { public: true, corsRules: JSON.stringify([rule]) })
  const preflight = (origin: string, method: string, headers = '') =>
    send({
      method: 'OPTIONS',
      path: `/${bucket.name}/a`,
      port: s3.port,
      headers: { origin, 'access-control-request-method': method, 'access-control-request-headers': headers },
    })
  expect(await preflight('https://app.example.com', 'PUT', 'Content-Type, x-amz-date')).toMatchObject({
    status: 200,
    headers: {
      'access-control-allow-origin': 'https://app.example.com',
      'access-control-allow-methods': 'GET, PUT',
      'access-control-allow-headers': 'content-type, x-amz-date',
      'access-control-max-age': '600',
    },
  })
  expect((await preflight('https://example.org', 'PUT')).status).toBe(403)
  expect((await preflight('https://app.example.com', 'DELETE')).status).toBe(403)
  expect((await preflight('https://app.example.com', 'PUT', 'authorization')).status).toBe(403)
  const read = (origin: string) => send({ path: `/${bucket.name}/none`, port: s3.port, headers: { origin } })
  expect((await read('https://app.example.com')).headers).toMatchObject({
    'access-control-allow-origin': 'https://app.example.com',
    'access-control-expose-headers': 'ETag',
  })
  expect((await read('https://example.org')).headers['access-control-allow-origin']).toBeUndefined()
  const client = clientOf(s3.url, await insertKey(s3, s3.tenant, [bucket]))
  expect((await client.send(new GetBucketCorsCommand({ Bucket: bucket.name }))).CORSRules).toMatchObject([
    { AllowedMethods: ['GET', 'PUT'], MaxAgeSeconds: 600 },
  ])
  client.destroy()
})

it('answers questions about features that buckets do not have', async () => {
  const { Bucket } = named('')
  expect((await s3.client.send(new GetBucketLocationCommand({ Bucket }))).LocationConstraint).toBeUndefined()
  expect((await s3.client.send(new GetBucketVersioningCommand({ Bucket }))).Status).toBeUndefined()
  expect((await s3.client.send(new GetBucketAclCommand({ Bucket }))).Grants).toMatchObject([{ Permission: 'FULL_CONTROL' }])
  expect(await refusalOf(s3.client.send(new GetBucketPolicyCommand({ Bucket })))).toBe('NoSuchBucketPolicy 404')
  expect(await refusalOf(s3.client.send(new GetBucketCorsCommand({ Bucket })))).toBe('NoSuchCORSConfiguration 404')
  const put = (more: object) => refusalOf(s3.client.send(new PutObjectCommand({ ...named('feature'), Body: 'x', ...more })))
  expect(await put({ ServerSideEncryption: 'AES256' })).toBe('NotImplemented 501')
  expect(await put({ Tagging: 'a=b' })).toBe('NotImplemented 501')
  expect(await put({ ACL: 'public-read' })).toBe('AccessControlListNotSupported 400')
  expect(await put({ StorageClass: 'GLACIER' })).toBe('InvalidStorageClass 400')
  expect(await put({ ACL: 'private', StorageClass: 'STANDARD' })).toBe('done')
})

const chunked = (body: Buffer, mode: string, more: Record<string, string> = {}) => {
  const path = `/${s3.bucket.name}/chunked`
  const headers = { 'content-encoding': 'aws-chunked', 'x-amz-decoded-content-length': String(body.length), ...more }
  return { path, signed: signedHeaders({ method: 'PUT', path, host: `127.0.0.1:${s3.port}`, key: s3.key, payload: mode, headers }) }
}
const upload = ({ path, signed }: ReturnType<typeof chunked>, body: Buffer) =>
  send({ method: 'PUT', path, headers: { ...signed.headers, 'content-length': String(body.length) }, body, port: s3.port })
const pieces = (body: Buffer) => [body.subarray(0, 65_536), body.subarray(65_536)]

it('bodies of signed chunks are stored, and none with a changed byte, a missing chunk or a changed checksum', async () => {
  const body = randomBytes(100_000)
  const request = chunked(body, 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD')
  const encoded = signedChunks(request.signed, pieces(body))
  expect((await upload(request, encoded)).status).toBe(200)
  const found = await s3.client.send(new GetObjectCommand(named('chunked')))
  expect(Buffer.from(await found.Body!.transformToByteArray()).equals(body)).toBe(true)
  expect(found.ContentEncoding).toBeUndefined()

  const before = await usageOf(s3, s3.bucket)
  const changed = Buffer.from(encoded)
  changed[50_000] = changed[50_000]! ^ 1
  expect(await upload(request, changed)).toMatchObject({ status: 403, code: 'SignatureDoesNotMatch' })
  expect(await upload(request, signedChunks(request.signed, [body.subarray(0, 65_536)]))).toMatchObject({
    status: 400,
    code: 'IncompleteBody',
  })
  expect(await upload(request, encoded.subarray(0, -200))).toMatchObject({ status: 400, code: 'IncompleteBody' })
  expect(await upload(request, Buffer.from('zz\r\n'))).toMatchObject({ status: 400, code: 'InvalidRequest' })
  expect(await upload(request, Buffer.alloc(5_000, 'f'))).toMatchObject({ status: 400, code: 'InvalidRequest' })
  expect(await usageOf(s3, s3.bucket)).toEqual(before)
})

it.each(['STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER', 'STREAMING-UNSIGNED-PAYLOAD-TRAILER'])(
  'a checksum that follows a body of %s is verified',
  async (mode) => {
    const body = randomBytes(100_000)
    const checksum = (data: Buffer) => {
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32BE(crc32(data))
      return `x-amz-checksum-crc32:${bytes.toString('base64')}`
    }
    const request = chunked(body, mode, { 'x-amz-trailer': 'x-amz-checksum-crc32' })
    const encode = (trailer: string) =>
      mode.includes('UNSIGNED')
        ? Buffer.concat([
            ...pieces(body).flatMap((chunk) => [Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n')]),
            Buffer.from(`0\r\n${trailer}\r\n\r\n`),
          ])
        : signedChunks(request.signed, pieces(body), trailer)
    expect(await upload(request, encode(checksum(body)))).toMatchObject({
      status: 200,
      headers: { etag: `"${createHash('md5').update(body).digest('hex')}"` },
    })
    expect(await upload(request, encode(checksum(Buffer.from('other'))))).toMatchObject({ status: 400, code: 'BadDigest' })
    expect(await upload(request, encode('x-amz-meta-a:b'))).toMatchObject({ status: 400, code: 'InvalidRequest' })
  },
)
