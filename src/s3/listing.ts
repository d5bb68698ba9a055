/** Lists the objects of a bucket, in both versions of the operation. */
import { type ListEntry, type Listed, listObjects } from '../domain/resources/stored-object/index.ts'
import { S3Error } from './error.ts'
import { type BucketExchange, numberIn, sendXml } from './exchange.ts'
import type { XmlValue } from './xml.ts'

export const maxKeys = 1_000

/** What both versions and the list of uploads read and repeat. Names are encoded on demand, for what XML can't represent. */
export function readListing({ s3 }: BucketExchange) {
  const encoding = s3.parameters.get('encoding-type')
  if (encoding !== undefined && encoding !== 'url') throw new S3Error('InvalidArgument', 'encoding-type must be url.')
  const encode = (text: string): string => (encoding === 'url' ? encodeURIComponent(text).replaceAll('%2F', '/') : text)
  const [prefix, delimiter] = ['prefix', 'delimiter'].map((name) => requireText(s3.parameters.get(name) ?? '', name)) as [string, string]
  return {
    prefix,
    delimiter,
    encode,
    echo: {
      Prefix: encode(prefix),
      ...(delimiter === '' ? {} : { Delimiter: encode(delimiter) }),
      ...(encoding === 'url' ? { EncodingType: 'url' } : {}),
    },
  }
}

/** PostgreSQL has no text with this character, so no key has it. */
export function requireText(text: string, name: string): string {
  if (text.includes('\u0000') || !text.isWellFormed()) throw new S3Error('InvalidArgument', `${name} is not valid Unicode.`)
  return text
}

export async function listV2(exchange: BucketExchange): Promise<void> {
  const { app, bucket, s3 } = exchange
  const { prefix, delimiter, encode, echo } = readListing(exchange)
  const limit = Math.min(numberIn(exchange, 'max-keys', { min: 0, max: maxKeys, fallback: maxKeys }), maxKeys)
  const startAfter = requireText(s3.parameters.get('start-after') ?? '', 'start-after')
  const token = s3.parameters.get('continuation-token')
  const after = token === undefined ? startAfter : readToken(token)
  const { entries, isTruncated } = await listObjects(app.db, { bucketId: bucket.id, prefix, delimiter, after, limit })
  sendXml(exchange, 'ListBucketResult', {
    Name: bucket.name,
    ...echo,
    MaxKeys: limit,
    KeyCount: entries.length,
    IsTruncated: isTruncated,
    ...(token === undefined ? {} : { ContinuationToken: token }),
    ...(startAfter === '' ? {} : { StartAfter: encode(startAfter) }),
    ...(isTruncated ? { NextContinuationToken: tokenOf(entries.at(-1)!.key) } : {}),
    ...elementsOf(entries, encode, s3.parameters.get('fetch-owner') === 'true' ? bucket.organizationId : null),
  })
}

/** A continuation token says where the next page begins. */
const tokenOf = (key: string): string => Buffer.from(`1${key}`).toString('base64url')

function readToken(token: string): string {
  const text = Buffer.from(token, 'base64url').toString()
  if (!text.startsWith('1') || tokenOf(text.slice(1)) !== token)
    throw new S3Error('InvalidArgument', 'The continuation token is not valid.')
  return text.slice(1)
}

export async function listV1(exchange: BucketExchange): Promise<void> {
  const { app, bucket, s3 } = exchange
  const { prefix, delimiter, encode, echo } = readListing(exchange)
  const limit = Math.min(numberIn(exchange, 'max-keys', { min: 0, max: maxKeys, fallback: maxKeys }), maxKeys)
  const marker = requireText(s3.parameters.get('marker') ?? '', 'marker')
  const { entries, isTruncated } = await listObjects(app.db, { bucketId: bucket.id, prefix, delimiter, after: marker, limit })
  sendXml(exchange, 'ListBucketResult', {
    Name: bucket.name,
    ...echo,
    Marker: encode(marker),
    MaxKeys: limit,
    IsTruncated: isTruncated,
    ...(isTruncated ? { NextMarker: encode(entries.at(-1)!.key) } : {}),
    ...elementsOf(entries, encode, bucket.organizationId),
  })
}

function elementsOf(entries: readonly ListEntry[], encode: (text: string) => string, ownerId: string | null): { [name: string]: XmlValue } {
  const contents = entries.flatMap(({ object }) => (object ? [contentOf(object, encode, ownerId)] : []))
  const prefixes = entries.flatMap(({ key, object }) => (object ? [] : [{ Prefix: encode(key) }]))
  return { Contents: contents, CommonPrefixes: prefixes }
}

const contentOf = (object: Listed, encode: (text: string) => string, ownerId: string | null): XmlValue => ({
  Key: encode(object.key),
  LastModified: object.lastModified.toISOString(),
  ETag: `"${object.etag}"`,
  ...(object.checksumAlgorithm ? { ChecksumAlgorithm: object.checksumAlgorithm, ChecksumType: object.checksumType! } : {}),
  Size: object.sizeBytes,
  StorageClass: 'STANDARD',
  ...(ownerId ? { Owner: ownerOf(ownerId) } : {}),
})

export const ownerOf = (organizationId: string) => ({ ID: organizationId, DisplayName: organizationId })
