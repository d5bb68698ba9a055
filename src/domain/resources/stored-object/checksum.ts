/** Checksums of objects and parts, in base64 as S3 clients send them, and those of several parts together. */
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'

export const checksumAlgorithms = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const
export type ChecksumAlgorithm = (typeof checksumAlgorithms)[number]

/** Of the whole object, or of the checksums of its parts. */
export type ChecksumType = 'FULL_OBJECT' | 'COMPOSITE'

export type Checksum = { algorithm: ChecksumAlgorithm; type: ChecksumType; value: string }

/** Polynomials in reversed bit order, and width in bits. */
const crcs: Partial<Record<ChecksumAlgorithm, { polynomial: bigint; width: number }>> = {
  CRC32: { polynomial: 0xedb88320n, width: 32 },
  CRC32C: { polynomial: 0x82f63b78n, width: 32 },
  CRC64NVME: { polynomial: 0x9a6c9329ac4bc9b5n, width: 64 },
}

/** Number of bytes of a checksum. */
export const checksumBytes: Record<ChecksumAlgorithm, number> = { CRC32: 4, CRC32C: 4, CRC64NVME: 8, SHA1: 20, SHA256: 32 }

/** Whether the checksum of an object can be computed from those of its parts. */
export const canBeCombined = (algorithm: ChecksumAlgorithm): boolean => crcs[algorithm] !== undefined

export type Digest = { update(data: Uint8Array): void; digest(): Promise<string> }

export async function createDigest(algorithm: ChecksumAlgorithm): Promise<Digest> {
  if (algorithm === 'CRC32') return crc32Digest()
  if (algorithm === 'SHA1' || algorithm === 'SHA256') {
    const hash = createHash(algorithm.toLowerCase())
    return { update: (data) => void hash.update(data), digest: async () => hash.digest('base64') }
  }
  const { Crc32c, Crc64Nvme } = await import('@aws-sdk/checksums/crc')
  const crc = algorithm === 'CRC32C' ? new Crc32c() : new Crc64Nvme()
  return { update: (data) => void crc.update(data), digest: async () => Buffer.from(await crc.digest()).toString('base64') }
}

function crc32Digest(): Digest {
  let value = 0
  return {
    update(data) {
      value = crc32(data, value)
    },
    async digest() {
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32BE(value)
      return bytes.toString('base64')
    },
  }
}

type PartChecksum = { value: string; sizeBytes: number }

/** The checksum of an object of parts, each with its own one. */
export const checksumOfParts = async (algorithm: ChecksumAlgorithm, type: ChecksumType, parts: readonly PartChecksum[]): Promise<string> =>
  type === 'COMPOSITE' ? compositeOf(algorithm, parts) : combine(algorithm, parts)

/** The checksum of the parts' checksums, followed by their number. */
async function compositeOf(algorithm: ChecksumAlgorithm, parts: readonly PartChecksum[]): Promise<string> {
  const digest = await createDigest(algorithm)
  for (const { value } of parts) digest.update(Buffer.from(value, 'base64'))
  return `${await digest.digest()}-${parts.length}`
}

/** The CRC of all parts in a row: the CRC so far is advanced over the length of the next part, then that part's CRC is added. */
function combine(algorithm: ChecksumAlgorithm, parts: readonly PartChecksum[]): string {
  const crc = crcs[algorithm]
  if (!crc) throw new Error(`checksums ${algorithm} of parts cannot be combined`)
  const { polynomial, width } = crc
  let value = 0n
  for (const part of parts) {
    value = multiply(value, powerOfX(BigInt(part.sizeBytes) * 8n, polynomial, width), polynomial, width)
    value ^= BigInt(`0x${Buffer.from(part.value, 'base64').toString('hex')}`)
  }
  return toBase64(value, width)
}

/** Product of two polynomials over GF(2), modulo the CRC's. In reversed bit order, the highest bit is the coefficient of x^0. */
function multiply(left: bigint, right: bigint, polynomial: bigint, width: number): bigint {
  let product = 0n
  let shifted = right
  for (let bit = 1n << BigInt(width - 1); bit > 0n; bit >>= 1n) {
    if (left & bit) product ^= shifted
    shifted = shifted & 1n ? (shifted >> 1n) ^ polynomial : shifted >> 1n
  }
  return product
}

/** x^exponent modulo the CRC's polynomial, by repeated squaring. */
function powerOfX(exponent: bigint, polynomial: bigint, width: number): bigint {
  let power = 1n << BigInt(width - 1)
  let square = 1n << BigInt(width - 2)
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) power = multiply(power, square, polynomial, width)
    square = multiply(square, square, polynomial, width)
  }
  return power
}

const toBase64 = (value: bigint, width: number): string =>
  Buffer.from(value.toString(16).padStart(width / 4, '0'), 'hex').toString('base64')
