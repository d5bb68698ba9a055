/** Headers of objects: those that are stored with them, conditions, and ranges. */

import type { ServedBucket } from '../domain/resources/storage/index.ts'
import { type Attributes, type Conditions, checksumOf, type StoredObject } from '../domain/resources/stored-object/index.ts'
import { checksumHeaders } from './checksum-header.ts'
import { S3Error } from './error.ts'
import { type Exchange, headerOf } from './exchange.ts'

const contentHeaders = ['content-type', 'content-encoding', 'content-disposition', 'content-language', 'cache-control', 'expires']
const metadataPrefix = 'x-amz-meta-'
const maxMetadataBytes = 2 * 1024

/** Features that change what is stored. A request for one is refused rather than ignored. */
const notImplemented = /^x-amz-(server-side-encryption|copy-source-server-side-encryption|object-lock|tagging|website-redirect-location)/
const permittedAcls = ['private', 'bucket-owner-full-control', 'bucket-owner-read']

/** What a request wants to be stored with an object. Throws S3Error. */
export function readAttributes(exchange: Exchange): Attributes {
  refuseFeatures(exchange)
  const attributes: Attributes = { headers: {}, metadata: {} }
  for (const name of contentHeaders) {
    const value = headerOf(exchange, name)
    const stored = name === 'content-encoding' ? value?.replace(/\baws-chunked\b,?\s*/, '').replace(/,\s*$/, '') : value
    if (stored) attributes.headers[name] = stored
  }
  let bytes = 0
  for (const name of Object.keys(exchange.request.headers)) {
    if (!name.startsWith(metadataPrefix)) continue
    const [own, value] = [name.slice(metadataPrefix.length), headerOf(exchange, name)!]
    bytes += own.length + Buffer.byteLength(value, 'latin1')
    attributes.metadata[own] = value
  }
  if (bytes > maxMetadataBytes) throw new S3Error('MetadataTooLarge', `The user metadata must not exceed ${maxMetadataBytes} bytes.`)
  return attributes
}

export function refuseFeatures(exchange: Exchange): void {
  const names = Object.keys(exchange.request.headers)
  const feature = names.find((name) => notImplemented.test(name))
  if (feature) throw new S3Error('NotImplemented', `The header ${feature} asks for something that is not implemented.`)
  const acl = headerOf(exchange, 'x-amz-acl')
  if ((acl !== undefined && !permittedAcls.includes(acl)) || names.some((name) => name.startsWith('x-amz-grant-')))
    throw new S3Error(
      'AccessControlListNotSupported',
      'Objects have no access control lists. Access is that of keys, or public for a whole bucket.',
    )
  const storageClass = headerOf(exchange, 'x-amz-storage-class')
  if (storageClass !== undefined && storageClass !== 'STANDARD')
    throw new S3Error('InvalidStorageClass', 'The only storage class is STANDARD.')
}

/** The headers that describe an object. */
export function describe(object: StoredObject, bucket: ServedBucket): Record<string, string> {
  const headers: Record<string, string> = {
    ...(bucket.cacheControl ? { 'cache-control': bucket.cacheControl } : {}),
    'content-type': 'application/octet-stream',
    ...(object.headers as Record<string, string>),
    etag: `"${object.etag}"`,
    'last-modified': object.lastModified.toUTCString(),
    'accept-ranges': 'bytes',
  }
  for (const [name, value] of Object.entries(object.metadata as Record<string, string>)) headers[`${metadataPrefix}${name}`] = value
  return headers
}

/** The checksum, which clients must ask for because it is only that of the whole object. */
export const describeChecksum = (exchange: Exchange, object: StoredObject): Record<string, string> =>
  headerOf(exchange, 'x-amz-checksum-mode')?.toUpperCase() === 'ENABLED' ? checksumHeaders(checksumOf(object)) : {}

const overrides: Record<string, string> = Object.fromEntries(contentHeaders.map((name) => [`response-${name}`, name]))

/** Headers that a signed request replaces. Throws S3Error for a request without a signature. */
export function readOverrides(exchange: Exchange): Record<string, string> {
  const found = [...exchange.s3.parameters].filter(([name]) => overrides[name] !== undefined)
  if (found.length > 0 && !exchange.key) throw new S3Error('InvalidRequest', 'Only signed requests may replace headers of the response.')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  if (found.some(([, value]) => /[\u0000-\u001f\u007f]|[^\u0000-\u00ff]/.test(value)))
    throw new S3Error('InvalidArgument', 'A response- parameter is not a valid value of a header.')
  return Object.fromEntries(found.map(([name, value]) => [overrides[name]!, value]))
}

/** Conditions in the headers of a request, or with a prefix those on the source of a copy. Throws S3Error. */
export function readConditions(exchange: Exchange, prefix = ''): Conditions {
  const etags = (name: string): string[] | undefined =>
    headerOf(exchange, prefix + name)
      ?.split(',')
      .map(etagOf)
  const date = (name: string): Date | undefined => {
    const value = headerOf(exchange, prefix + name)
    const found = value === undefined ? Number.NaN : Date.parse(value)
    // By RFC 9110, an invalid date is ignored.
    return Number.isNaN(found) ? undefined : new Date(found)
  }
  return {
    ...given('ifMatch', etags('if-match')),
    ...given('ifNoneMatch', etags('if-none-match')),
    ...given('ifModifiedSince', date('if-modified-since')),
    ...given('ifUnmodifiedSince', date('if-unmodified-since')),
  }
}

const given = <Name extends string, Value>(name: Name, value: Value | undefined) =>
  (value === undefined ? {} : { [name]: value }) as { [name in Name]?: Value }

/** An ETag without its quotes. */
export const etagOf = (text: string): string => text.trim().replace(/^(W\/)?"?|"$/g, '')

export type Range = { start: number; end: number }

/**
 * The range that a request asks for. Null for the whole object: without a range, with several, or with a malformed one, which are ignored as
 * RFC 9110 permits. Throws S3Error InvalidRange if the object has no such bytes.
 */
export function readRange(text: string | undefined, sizeBytes: number): Range | null {
  const [, first, last] = /^bytes=(\d{0,16})-(\d{0,16})$/.exec(text?.trim() ?? '') ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return null
  const range =
    first === ''
      ? { start: Math.max(sizeBytes - Number(last), 0), end: sizeBytes - 1 }
      : { start: Number(first), end: Math.min(last === '' ? sizeBytes - 1 : Number(last), sizeBytes - 1) }
  if (first !== '' && last !== '' && Number(last) < Number(first)) return null
  if (range.start >= sizeBytes || (first === '' && last === '0'))
    throw new S3Error('InvalidRange', 'The requested range is not within the object.')
  return range
}
