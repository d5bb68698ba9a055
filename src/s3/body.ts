/** Bodies of requests: uploads, in any of the encodings and with any of the checks that S3 clients use, and XML documents. */
import { createHash } from 'node:crypto'
import { pipeline, type Readable } from 'node:stream'
import { createDigest, maxUploadBytes, type Upload } from '../domain/resources/stored-object/index.ts'
import { unsignedPayload } from '../platform/s3-signature.ts'
import { algorithmOf, readChecksum, requireValue, trailingAlgorithm, valueIn } from './checksum-header.ts'
import { ChunkDecoder } from './chunked.ts'
import { S3Error } from './error.ts'
import type { Exchange } from './exchange.ts'
import { ReceivedBody } from './received-body.ts'

const maxXmlBytes = 3 * 1024 ** 2
const isHash = (text: string): boolean => /^[0-9a-f]{64}$/.test(text)

/** Ways in which a body is signed in chunks. */
const streaming: Record<string, { isSigned: boolean; hasTrailer: boolean }> = {
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD': { isSigned: true, hasTrailer: false },
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER': { isSigned: true, hasTrailer: true },
  'STREAMING-UNSIGNED-PAYLOAD-TRAILER': { isSigned: false, hasTrailer: true },
}

/** The upload in the body of a request. Nothing is read before its stream is. Throws S3Error. */
export function readUpload(exchange: Exchange): Upload {
  const { request, signal } = exchange
  const { headers } = request
  const payload = exchange.payload
  const chunks = payload === null ? undefined : streaming[payload]
  if (payload !== null && !chunks && payload !== unsignedPayload && !isHash(payload))
    throw new S3Error(
      'InvalidArgument',
      'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a streaming mode or a SHA-256 in lowercase hexadecimal.',
    )
  const sizeBytes = lengthOf(headers[chunks ? 'x-amz-decoded-content-length' : 'content-length'] as string | undefined)
  const md5 = md5Of(headers['content-md5'] as string | undefined)
  const checksum = readChecksum(headers)
  const requested = algorithmOf(headers['x-amz-sdk-checksum-algorithm'] as string | undefined)
  const basics = { sizeBytes, signal, ...(md5 === null ? {} : { md5 }) }
  const plain = checksum
    ? { checksum: { algorithm: checksum.algorithm, expected: () => checksum.value } }
    : requested
      ? { checksum: { algorithm: requested, expected: () => null } }
      : {}
  if (!chunks) return { ...basics, ...plain, ...(payload && isHash(payload) ? { sha256: payload } : {}), body: receive(exchange) }
  const { isSigned, hasTrailer } = chunks
  const decoder = new ChunkDecoder({ signer: isSigned ? exchange.signer : null, hasTrailer })
  const trailing = hasTrailer ? trailingAlgorithm(String(headers['x-amz-trailer'] ?? '')) : null
  const following = trailing ? { checksum: { algorithm: trailing, expected: () => trailingValue(decoder, trailing) } } : plain
  return { ...basics, ...following, body: lazily(exchange, decoder) }
}

function trailingValue(decoder: ChunkDecoder, algorithm: NonNullable<ReturnType<typeof trailingAlgorithm>>): string {
  const value = valueIn(decoder.trailers, algorithm)
  if (value === undefined) throw new S3Error('InvalidRequest', 'The trailing header that x-amz-trailer announces is missing.')
  requireValue({ algorithm, value })
  return value
}

function lazily(exchange: Exchange, decoder: ChunkDecoder): Readable {
  pipeline(receive(exchange), decoder, () => {})
  return decoder
}

function receive({ request, patience, beginBody }: Exchange): ReceivedBody {
  beginBody()
  return new ReceivedBody(request, patience)
}

function lengthOf(text: string | undefined): number {
  if (text === undefined)
    throw new S3Error(
      'MissingContentLength',
      'The length of the body must be announced: Content-Length, or x-amz-decoded-content-length for aws-chunked bodies.',
    )
  if (!/^\d{1,16}$/.test(text)) throw new S3Error('InvalidArgument', 'The announced length of the body is not valid.')
  const bytes = Number(text)
  if (bytes > maxUploadBytes)
    throw new S3Error('EntityTooLarge', `An upload must not exceed ${maxUploadBytes} bytes. Upload larger objects in parts.`)
  return bytes
}

/** A Content-MD5, in hexadecimal. */
function md5Of(text: string | undefined): string | null {
  if (text === undefined) return null
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length !== 16) throw new S3Error('InvalidDigest', 'The Content-MD5 is not valid.')
  return bytes.toString('hex')
}

/** The text of an XML document, verified against the hashes that the request names. Throws S3Error. */
export async function readText(exchange: Exchange): Promise<string> {
  const { headers } = exchange.request
  const { payload } = exchange
  if (payload !== null && payload !== unsignedPayload && !isHash(payload))
    throw new S3Error('InvalidArgument', 'XML must be signed as a whole: x-amz-content-sha256 must be its SHA-256 or UNSIGNED-PAYLOAD.')
  const body = await readAll(exchange)
  const md5 = md5Of(headers['content-md5'] as string | undefined)
  if (md5 !== null && createHash('md5').update(body).digest('hex') !== md5)
    throw new S3Error('BadDigest', 'The Content-MD5 of the request is not that of the body.')
  if (payload !== null && isHash(payload) && createHash('sha256').update(body).digest('hex') !== payload)
    throw new S3Error('XAmzContentSHA256Mismatch', 'The x-amz-content-sha256 of the request is not that of the body.')
  return body.toString()
}

/** The same if the header with the checksum is that of the document, which not all XML has. */
export async function readCheckedText(exchange: Exchange): Promise<string> {
  const text = await readText(exchange)
  const checksum = readChecksum(exchange.request.headers)
  if (!checksum) return text
  const digest = await createDigest(checksum.algorithm)
  digest.update(Buffer.from(text))
  if ((await digest.digest()) !== checksum.value)
    throw new S3Error('BadDigest', `The ${checksum.algorithm} checksum of the request is not that of the body.`)
  return text
}

async function readAll(exchange: Exchange): Promise<Buffer> {
  const tooLong = () => new S3Error('MaxMessageLengthExceeded', `The XML of a request must not exceed ${maxXmlBytes} bytes.`)
  if (Number(exchange.request.headers['content-length'] ?? 0) > maxXmlBytes) throw tooLong()
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of receive(exchange) as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxXmlBytes) throw tooLong()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
