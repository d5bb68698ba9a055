/** Checksums in the headers of requests and responses. */
import type { IncomingHttpHeaders } from 'node:http'
import {
  type Checksum,
  type ChecksumAlgorithm,
  type ChecksumType,
  checksumAlgorithms,
  checksumBytes,
} from '../domain/resources/stored-object/index.ts'
import { S3Error } from './error.ts'

const prefix = 'x-amz-checksum-'
const headerOf = (algorithm: ChecksumAlgorithm): string => `${prefix}${algorithm.toLowerCase()}`

/** The algorithm that a header asks for. Null if there is none. Throws S3Error for an unknown one. */
export function algorithmOf(text: string | undefined): ChecksumAlgorithm | null {
  if (text === undefined) return null
  const found = checksumAlgorithms.find((name) => name === text.toUpperCase())
  if (!found) throw new S3Error('InvalidRequest', `The checksum algorithm must be one of ${checksumAlgorithms.join(', ')}.`)
  return found
}

export type NamedChecksum = { algorithm: ChecksumAlgorithm; value: string }

/** The checksum in some headers. Null if there is none. Throws S3Error if there are several, or one that cannot be a checksum. */
export function readChecksum(headers: IncomingHttpHeaders): NamedChecksum | null {
  const given = checksumAlgorithms.flatMap((algorithm) => {
    const value = headers[headerOf(algorithm)]
    return typeof value === 'string' ? [{ algorithm, value }] : []
  })
  if (given.length > 1) throw new S3Error('InvalidRequest', 'Only one x-amz-checksum- header is allowed.')
  const [found] = given
  if (found) requireValue(found)
  return found ?? null
}

/** A checksum of checksums ends in the number of parts. */
export function requireValue({ algorithm, value }: NamedChecksum): void {
  const bytes = Buffer.from(value.replace(/-\d{1,5}$/, ''), 'base64')
  if (bytes.length !== checksumBytes[algorithm]) throw new S3Error('InvalidRequest', `The value of ${headerOf(algorithm)} is not valid.`)
}

/** The algorithm of a checksum that follows the body, by the names in `x-amz-trailer`. */
export const trailingAlgorithm = (trailer: string): ChecksumAlgorithm | null => {
  const names = trailer
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
  return checksumAlgorithms.find((algorithm) => names.includes(headerOf(algorithm))) ?? null
}

export const valueIn = (trailers: ReadonlyMap<string, string>, algorithm: ChecksumAlgorithm): string | undefined =>
  trailers.get(headerOf(algorithm))

export const checksumHeaders = (checksum: Checksum | null): Record<string, string> =>
  checksum ? { [headerOf(checksum.algorithm)]: checksum.value, 'x-amz-checksum-type': checksum.type } : {}

/** The checksum as elements of an XML document. */
export const checksumElements = (checksum: Checksum | null): Record<string, string> =>
  checksum ? { [`Checksum${checksum.algorithm}`]: checksum.value, ChecksumType: checksum.type } : {}

/** What a multipart upload computes, by the headers that begin it. */
export function multipartChecksum(headers: IncomingHttpHeaders): { algorithm: ChecksumAlgorithm; type: ChecksumType } | null {
  const algorithm = algorithmOf(headers['x-amz-checksum-algorithm'] as string | undefined)
  const type = headers['x-amz-checksum-type']
  if (type !== undefined && type !== 'COMPOSITE' && type !== 'FULL_OBJECT')
    throw new S3Error('InvalidRequest', 'x-amz-checksum-type must be COMPOSITE or FULL_OBJECT.')
  if (!algorithm) return null
  return { algorithm, type: (type as ChecksumType | undefined) ?? (algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE') }
}
