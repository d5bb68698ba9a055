/** Operations on one object. */
import {
  type Attributes,
  copyObject,
  deleteObjects,
  findObject,
  noSuchKey,
  ObjectError,
  openObject,
  partSizes,
  putObject,
  requireForReading,
  requireKey,
  type StoredObject,
} from '../domain/resources/stored-object/index.ts'
import { requireBucket } from './authorize.ts'
import { readUpload } from './body.ts'
import { checksumElements, checksumHeaders } from './checksum-header.ts'
import { S3Error } from './error.ts'
import { type BucketExchange, type Exchange, headerOf, numberIn, sendEmpty, sendXml } from './exchange.ts'
import { s3Bytes } from './metrics.ts'
import {
  describe,
  describeChecksum,
  type Range,
  readAttributes,
  readConditions,
  readOverrides,
  readRange,
  refuseFeatures,
} from './object-header.ts'
import { splitTarget, type Target } from './request.ts'
import { sendStream } from './send-stream.ts'

export async function put(exchange: BucketExchange): Promise<void> {
  const { app, bucket, s3 } = exchange
  const attributes = readAttributes(exchange)
  const upload = readUpload(exchange)
  const written = await putObject(app, bucket, s3.key, { upload, attributes, conditions: readWriteConditions(exchange) })
  s3Bytes.inc({ direction: 'in' }, written.sizeBytes)
  sendEmpty(exchange, 200, { etag: `"${written.etag}"`, ...checksumHeaders(written.checksum) })
}

/** Conditions of a write, which are only those on ETags. */
export function readWriteConditions(exchange: Exchange) {
  const { ifMatch, ifNoneMatch } = readConditions(exchange)
  if (ifNoneMatch && !ifNoneMatch.includes('*')) throw new S3Error('NotImplemented', 'For writes, If-None-Match must be *.')
  return { ...(ifMatch ? { ifMatch } : {}), ...(ifNoneMatch ? { ifNoneMatch } : {}) }
}

export const get = (exchange: BucketExchange): Promise<void> => read(exchange, true)
export const head = (exchange: BucketExchange): Promise<void> => read(exchange, false)

async function read(exchange: BucketExchange, withBody: boolean): Promise<void> {
  const { app, bucket, response, signal } = exchange
  const object = await requireObject(exchange)
  const headers = { ...describe(object, bucket), ...readOverrides(exchange) }
  try {
    requireForReading(readConditions(exchange), object)
  } catch (error) {
    if (!(error instanceof ObjectError) || error.code !== 'NotModified') throw error
    const { etag, 'last-modified': lastModified, 'cache-control': cacheControl } = headers
    response.writeHead(304, { etag, 'last-modified': lastModified, ...(cacheControl ? { 'cache-control': cacheControl } : {}) })
    response.end()
    return
  }
  const part = await readPart(exchange, object)
  const range = part ?? readRange(ifRange(exchange, object) ? headerOf(exchange, 'range') : undefined, object.sizeBytes)
  const { start, end } = range ?? { start: 0, end: object.sizeBytes - 1 }
  const status = range ? 206 : 200
  const all = {
    ...headers,
    ...(range ? { 'content-range': `bytes ${start}-${end}/${object.sizeBytes}` } : describeChecksum(exchange, object)),
    ...(part ? { 'x-amz-mp-parts-count': String(part.count) } : {}),
    'content-length': String(end - start + 1),
  }
  if (!withBody || object.sizeBytes === 0) {
    response.writeHead(status, all)
    response.end()
    return
  }
  const sizeBytes = end - start + 1
  const content = await openObject(app, object, { start, end }, signal)
  response.writeHead(status, all)
  await sendStream(content, response, { sizeBytes, patience: exchange.patience, signal })
  s3Bytes.inc({ direction: 'out' }, sizeBytes)
}

/** Whether a range counts: with `If-Range`, only while the object is still the same. */
function ifRange(exchange: Exchange, { etag, lastModified }: StoredObject): boolean {
  const condition = headerOf(exchange, 'if-range')
  if (condition === undefined) return true
  return condition.startsWith('"') ? condition === `"${etag}"` : Date.parse(condition) >= Math.floor(lastModified.getTime() / 1_000) * 1_000
}

/** The part of the object with the number that a request asks for. */
async function readPart(exchange: BucketExchange, object: StoredObject): Promise<(Range & { count: number }) | null> {
  if (!exchange.s3.parameters.has('partNumber')) return null
  const number = numberIn(exchange, 'partNumber', { min: 1, max: 10_000, fallback: 1 })
  const sizes = await partSizes(exchange.app.db, object)
  if (number > sizes.length || object.sizeBytes === 0) throw new S3Error('InvalidRange', 'The object has no part with this number.')
  const start = sizes.slice(0, number - 1).reduce((sum, size) => sum + size, 0)
  return { start, end: start + sizes[number - 1]! - 1, count: sizes.length }
}

async function requireObject({ app, bucket, s3 }: BucketExchange): Promise<StoredObject> {
  requireKey(s3.key)
  const found = await findObject(app.db, bucket.id, s3.key)
  if (!found) throw noSuchKey()
  return found
}

export async function remove(exchange: BucketExchange): Promise<void> {
  const { app, bucket, s3 } = exchange
  requireKey(s3.key)
  await deleteObjects(app, bucket, [s3.key])
  sendEmpty(exchange, 204)
}

export async function copy(exchange: BucketExchange): Promise<void> {
  const { app, bucket, s3 } = exchange
  const source = await readSource(exchange)
  const directive = headerOf(exchange, 'x-amz-metadata-directive') ?? 'COPY'
  if (directive !== 'COPY' && directive !== 'REPLACE')
    throw new S3Error('InvalidArgument', 'x-amz-metadata-directive must be COPY or REPLACE.')
  refuseFeatures(exchange)
  const attributes: Attributes | null = directive === 'REPLACE' ? readAttributes(exchange) : null
  if (attributes === null && source.place.id === bucket.id && source.key === s3.key)
    throw new S3Error('InvalidRequest', 'A copy of an object onto itself must replace its metadata.')
  const written = await copyObject(app, bucket, s3.key, {
    source,
    attributes,
    sourceConditions: readConditions(exchange, 'x-amz-copy-source-'),
    conditions: readWriteConditions(exchange),
  })
  sendXml(exchange, 'CopyObjectResult', {
    ETag: `"${written.etag}"`,
    LastModified: written.lastModified.toISOString(),
    ...checksumElements(written.checksum),
  })
}

/** The object that a copy is of, which the key must be permitted to read. */
export async function readSource(exchange: Exchange) {
  const { bucket, key } = sourceOf(headerOf(exchange, 'x-amz-copy-source') ?? '')
  if (bucket === null || key === '') throw new S3Error('InvalidArgument', 'x-amz-copy-source must be <bucket>/<key>.')
  return { place: await requireBucket(exchange.app, exchange.key, bucket, 'read', { isPublic: true }), key }
}

function sourceOf(text: string): Target {
  const [path, query] = text.split('?', 2)
  if (query !== undefined && query !== 'versionId=null') throw new S3Error('InvalidArgument', 'Objects have no versions.')
  try {
    return splitTarget(decodeURIComponent(path!).replace(/^\//, ''))
  } catch {
    throw new S3Error('InvalidArgument', 'x-amz-copy-source must be percent-encoded UTF-8.')
  }
}
