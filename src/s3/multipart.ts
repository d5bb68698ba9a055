/** Uploads in parts. */
import { validate } from 'uuid'
import {
  abortMultipartUpload,
  type ChecksumAlgorithm,
  completeMultipartUpload,
  createMultipartUpload,
  findObject,
  findUpload,
  listParts,
  listUploads,
  type MultipartUpload,
  maxParts,
  maxUploadBytes,
  type NamedPart,
  noSuchKey,
  ObjectError,
  openObject,
  putPart,
  requireForReading,
} from '../domain/resources/stored-object/index.ts'
import { readText, readUpload } from './body.ts'
import { checksumElements, checksumHeaders, multipartChecksum, readChecksum } from './checksum-header.ts'
import { S3Error } from './error.ts'
import { type BucketExchange, headerOf, numberIn, sendEmpty, sendXml } from './exchange.ts'
import { maxKeys, ownerOf, readListing, requireText } from './listing.ts'
import { s3Bytes } from './metrics.ts'
import { readSource, readWriteConditions } from './object.ts'
import { etagOf, readAttributes, readConditions, readRange } from './object-header.ts'
import { childrenOf, fromXml, textOf } from './xml.ts'

export async function create(exchange: BucketExchange): Promise<void> {
  const { app, bucket, s3 } = exchange
  const checksum = multipartChecksum(exchange.request.headers)
  const uploadId = await createMultipartUpload(app, bucket, s3.key, { ...readAttributes(exchange), checksum })
  const headers: Record<string, string> = checksum
    ? { 'x-amz-checksum-algorithm': checksum.algorithm, 'x-amz-checksum-type': checksum.type }
    : {}
  sendXml(exchange, 'InitiateMultipartUploadResult', { Bucket: bucket.name, Key: s3.key, UploadId: uploadId }, headers)
}

/** An ID in another form is that of no upload. */
const uploadIdOf = ({ s3 }: BucketExchange): string => {
  const id = s3.parameters.get('uploadId') ?? ''
  if (!validate(id)) throw new S3Error('NoSuchUpload', 'The specified upload does not exist.')
  return id
}

const requireUpload = (exchange: BucketExchange): Promise<MultipartUpload> =>
  findUpload(exchange.app.db, exchange.bucket, exchange.s3.key, uploadIdOf(exchange))

function partNumberOf(exchange: BucketExchange): number {
  const number = numberIn(exchange, 'partNumber', { min: 1, max: maxParts, fallback: 0 })
  if (number < 1 || number > maxParts) throw new S3Error('InvalidArgument', `partNumber must be an integer from 1 to ${maxParts}.`)
  return number
}

export async function uploadPart(exchange: BucketExchange): Promise<void> {
  const number = partNumberOf(exchange)
  const upload = await requireUpload(exchange)
  const content = readUpload(exchange)
  const part = await putPart(exchange.app, exchange.bucket, upload, number, content)
  s3Bytes.inc({ direction: 'in' }, content.sizeBytes)
  sendEmpty(exchange, 200, { etag: `"${part.etag}"`, ...withoutType(checksumHeaders(part.checksum)) })
}

const withoutType = ({ 'x-amz-checksum-type': _type, ...headers }: Record<string, string>) => headers

export async function copyPart(exchange: BucketExchange): Promise<void> {
  const { app, bucket, signal } = exchange
  const number = partNumberOf(exchange)
  const upload = await requireUpload(exchange)
  const { place, key } = await readSource(exchange)
  const source = await findObject(app.db, place.id, key)
  if (!source) throw noSuchKey()
  try {
    requireForReading(readConditions(exchange, 'x-amz-copy-source-'), source)
  } catch {
    throw new ObjectError('PreconditionFailed', 'At least one of the preconditions of the request is not met.')
  }
  const wanted = headerOf(exchange, 'x-amz-copy-source-range')
  const range = readRange(wanted, source.sizeBytes)
  if (wanted !== undefined && range === null) throw new S3Error('InvalidArgument', 'x-amz-copy-source-range must be bytes=<first>-<last>.')
  const { start, end } = range ?? { start: 0, end: source.sizeBytes - 1 }
  const sizeBytes = end - start + 1
  if (sizeBytes > maxUploadBytes) throw new S3Error('EntityTooLarge', `A part must not exceed ${maxUploadBytes} bytes.`)
  const body = await openObject(app, source, { start, end }, signal)
  const part = await putPart(app, bucket, upload, number, { body, sizeBytes, signal })
  sendXml(exchange, 'CopyPartResult', {
    ETag: `"${part.etag}"`,
    LastModified: part.lastModified.toISOString(),
    ...checksumElements(part.checksum),
  })
}

export async function complete(exchange: BucketExchange): Promise<void> {
  const { app, bucket, s3 } = exchange
  const uploadId = uploadIdOf(exchange)
  const parts = readParts(await readText(exchange))
  const checksum = readChecksum(exchange.request.headers)?.value ?? null
  const conditions = readWriteConditions(exchange)
  const written = await completeMultipartUpload(app, bucket, s3.key, uploadId, { parts, checksum, conditions })
  sendXml(exchange, 'CompleteMultipartUploadResult', {
    Location: `/${bucket.name}/${s3.key}`,
    Bucket: bucket.name,
    Key: s3.key,
    ETag: `"${written.etag}"`,
    ...checksumElements(written.checksum),
  })
}

function readParts(xml: string): NamedPart[] {
  const parts = childrenOf(fromXml(xml, 'CompleteMultipartUpload'), 'Part')
  if (parts.length === 0) throw new S3Error('MalformedXML', 'At least one part must be named.')
  return parts.map((part) => {
    const number = Number(textOf(part, 'PartNumber'))
    if (!Number.isInteger(number) || number < 1 || number > maxParts)
      throw new S3Error('InvalidArgument', `PartNumber must be an integer from 1 to ${maxParts}.`)
    const checksum = part.children.find(({ name }) => name.startsWith('Checksum'))?.text ?? null
    return { number, etag: etagOf(textOf(part, 'ETag')), checksum }
  })
}

export async function abort(exchange: BucketExchange): Promise<void> {
  const upload = await requireUpload(exchange)
  await abortMultipartUpload(exchange.app, exchange.bucket, upload.id)
  sendEmpty(exchange, 204)
}

export async function parts(exchange: BucketExchange): Promise<void> {
  const { app, bucket, s3 } = exchange
  const upload = await requireUpload(exchange)
  const limit = Math.min(numberIn(exchange, 'max-parts', { min: 0, max: 1_000, fallback: 1_000 }), 1_000)
  const marker = numberIn(exchange, 'part-number-marker', { min: 0, max: maxParts, fallback: 0 })
  const found = await listParts(app.db, upload.id, marker, limit + 1)
  const page = found.slice(0, limit)
  const algorithm = upload.checksumAlgorithm as ChecksumAlgorithm | null
  sendXml(exchange, 'ListPartsResult', {
    Bucket: bucket.name,
    Key: s3.key,
    UploadId: upload.id,
    PartNumberMarker: marker,
    ...(found.length > limit && page.length > 0 ? { NextPartNumberMarker: page.at(-1)!.number } : {}),
    MaxParts: limit,
    IsTruncated: found.length > limit && limit > 0,
    ...(algorithm ? { ChecksumAlgorithm: algorithm, ChecksumType: upload.checksumType! } : {}),
    Initiator: ownerOf(bucket.organizationId),
    Owner: ownerOf(bucket.organizationId),
    StorageClass: 'STANDARD',
    Part: page.map((part) => ({
      PartNumber: part.number,
      LastModified: part.lastModified.toISOString(),
      ETag: `"${part.etag}"`,
      Size: part.sizeBytes,
      ...(algorithm && part.checksum ? { [`Checksum${algorithm}`]: part.checksum } : {}),
    })),
  })
}

export async function uploads(exchange: BucketExchange): Promise<void> {
  const { app, bucket, s3 } = exchange
  const { prefix, delimiter, encode, echo } = readListing(exchange)
  if (delimiter !== '') throw new S3Error('NotImplemented', 'Uploads cannot be listed with a delimiter.')
  const limit = Math.min(numberIn(exchange, 'max-uploads', { min: 0, max: maxKeys, fallback: maxKeys }), maxKeys)
  const keyMarker = requireText(s3.parameters.get('key-marker') ?? '', 'key-marker')
  const idMarker = s3.parameters.get('upload-id-marker') || null
  if (idMarker !== null && !validate(idMarker)) throw new S3Error('InvalidArgument', 'upload-id-marker is not valid.')
  const found = await listUploads(app.db, bucket.id, { prefix, after: { key: keyMarker, id: idMarker }, limit: limit + 1 })
  const page = found.slice(0, limit)
  const last = found.length > limit ? page.at(-1) : undefined
  sendXml(exchange, 'ListMultipartUploadsResult', {
    Bucket: bucket.name,
    ...echo,
    KeyMarker: encode(keyMarker),
    UploadIdMarker: idMarker ?? '',
    ...(last ? { NextKeyMarker: encode(last.key), NextUploadIdMarker: last.id } : {}),
    MaxUploads: limit,
    IsTruncated: last !== undefined,
    Upload: page.map((upload) => ({
      Key: encode(upload.key),
      UploadId: upload.id,
      Initiator: ownerOf(bucket.organizationId),
      Owner: ownerOf(bucket.organizationId),
      StorageClass: 'STANDARD',
      Initiated: upload.createdAt.toISOString(),
      ...(upload.checksumAlgorithm ? { ChecksumAlgorithm: upload.checksumAlgorithm, ChecksumType: upload.checksumType! } : {}),
    })),
  })
}
