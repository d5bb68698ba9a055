import { describe, expect, it } from 'vitest'
import { findStorageKey } from '../../../src/domain/resources/storage/index.ts'
import { rows, sql } from '../../../src/platform/db/index.ts'
import { decodeId, newId } from '../../../src/platform/id.ts'
import { readClaim, verifySignature } from '../../../src/platform/s3-signature.ts'
import { endpointUrl, useStore } from './storage-support.ts'

const store = useStore()
const presign = `mutation ($id: ID!, $key: String!, $method: PresignMethod!, $seconds: Int, $type: String, $once: String) {
  presignObject(input: {bucketId: $id, key: $key, method: $method, expiresInSeconds: $seconds, contentType: $type, idempotencyKey: $once}) {
    url method expiresAt headers } }`
const sign = async (variables: object) => (await store.run(presign, { method: 'GET', ...variables })).presignObject

/** Verifies a request for a URL as the S3 endpoint does, and returns the key that signed it. */
async function verify(url: string, { method = 'GET', headers = {}, now = new Date() } = {}) {
  const { host, pathname, searchParams } = new URL(url)
  const request = { method, path: decodeURIComponent(pathname), query: [...searchParams], headers: { host, ...headers } }
  const claim = readClaim(request, 'us-east-1')!
  const key = await findStorageKey(store.world.app, claim.accessKeyId)
  if (!key) throw new Error('the key does not exist')
  await verifySignature(claim, request, key.secretAccessKey, now)
  return key
}
const failure = (outcome: Promise<unknown>) =>
  outcome.then(
    () => 'done',
    ({ code, message }) => code ?? message,
  )
const later = (seconds: number) => new Date(Date.now() + seconds * 1_000)

describe('a presigned URL', () => {
  it('is signed by a key of the bucket that reads and writes, and that nobody sees', async () => {
    const { id, name } = await store.bucket()
    const { url, method, headers } = await sign({ id, key: 'photos/ä ö?#%.png' })
    expect(url.startsWith(`${endpointUrl}/${name}/photos/%C3%A4%20%C3%B6%3F%23%25.png?`)).toBe(true)
    expect([method, headers]).toEqual(['GET', {}])
    const key = await verify(url)
    expect(key).toMatchObject({ permissions: { read: true, write: true, delete: false, admin: false } })
    expect(key.bucketIds).toEqual(new Set([decodeId('Bucket', id)]))
    const { storageKeys } = await store.run('{ storageKeys { nodes { accessKeyId } } }')
    expect(storageKeys.nodes).not.toContainEqual(
      expect.objectContaining({ accessKeyId: new URL(url).searchParams.get('X-Amz-Credential')!.split('/')[0] }),
    )
  })

  it('is good for its method, key, content type and time only', async () => {
    const { id, name } = await store.bucket()
    const { url, headers, expiresAt } = await sign({ id, key: 'a.png', method: 'PUT', type: 'image/png', seconds: 60 })
    expect(headers).toEqual({ 'content-type': 'image/png' })
    expect(new Date(expiresAt).getTime() - Date.now()).toBeLessThanOrEqual(60_000)
    const put = { method: 'PUT', headers }
    expect(await failure(verify(url, put))).toBe('done')
    expect(await failure(verify(url, { headers }))).toBe('SignatureDoesNotMatch')
    expect(await failure(verify(url, { ...put, headers: { 'content-type': 'text/html' } }))).toBe('SignatureDoesNotMatch')
    expect(await failure(verify(url.replace(`${name}/a`, `${name}/b`), put))).toBe('SignatureDoesNotMatch')
    expect(await failure(verify(url.replace('X-Amz-Expires=60', 'X-Amz-Expires=600'), put))).toBe('SignatureDoesNotMatch')
    expect(await failure(verify(url, { ...put, now: later(61) }))).toBe('AccessDenied')
  })

  it('lives for ten minutes unless another time is given', async () => {
    const { id } = await store.bucket()
    const { url } = await sign({ id, key: 'a' })
    expect(await failure(verify(url, { now: later(590) }))).toBe('done')
    expect(await failure(verify(url, { now: later(601) }))).toBe('AccessDenied')
  })

  it('does not work any more when the bucket is deleted', async () => {
    const { id, name } = await store.bucket()
    const { url } = await sign({ id, key: 'a' })
    expect(await failure(verify(url))).toBe('done')
    store.items.set(name, 1)
    await store.run('mutation ($id: ID!) { deleteBucket(input: {id: $id, force: true}) { deletedId } }', { id })
    expect(await failure(verify(url))).toBe('the key does not exist')
  })

  it('is returned once, and its audit entry does not contain it', async () => {
    const { id } = await store.bucket()
    const variables = { id, key: 'secret plans.txt', once: newId() }
    const first = await sign(variables)
    expect(await sign(variables)).toEqual({ ...first, url: null })
    const audit = await rows<{ details: object }>(
      store.world.app.db,
      sql`select details from audit_entry where action = 'presignObject' and target_id = ${decodeId('Bucket', id)}::uuid`,
    )
    expect(audit).toEqual([{ details: { key: 'secret plans.txt', method: 'GET', expiresAt: first.expiresAt } }])
  })
})

it.each([
  ['key', { key: '' }],
  ['key', { key: 'x'.repeat(1_025) }],
  ['key', { key: 'ä'.repeat(513) }],
  ['key', { key: '../../etc/passwd' }],
  ['key', { key: 'a/./b' }],
  ['key', { key: 'line\nfeed' }],
  ['expiresInSeconds', { seconds: 0 }],
  ['expiresInSeconds', { seconds: 86_401 }],
  ['contentType', { type: 'image' }],
  ['contentType', { type: 'text/html\r\nX-Header: 1' }],
])('a bad %s is refused: %j', async (field, given) => {
  const { id } = await store.bucket()
  expect(await store.refused(presign, { id, key: 'a', method: 'PUT', ...given })).toMatchObject({ code: 'invalid_input', field })
})

it.each(['x'.repeat(1_024), '.hidden/..file', '日本/語', "quote'(star)*!"])('the key %j is signed as it is', async (key) => {
  const { id } = await store.bucket()
  const { url } = await sign({ id, key, type: 'text/plain; charset=utf-8' })
  expect(await failure(verify(url, { headers: { 'content-type': 'text/plain; charset=utf-8' } }))).toBe('done')
})
