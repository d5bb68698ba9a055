/** One request with what is known of it, and the ways to answer it. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ServedBucket, SigningKey } from '../domain/resources/storage/index.ts'
import type { ChunkSigner } from '../platform/s3-signature.ts'
import type { App } from '../platform/work.ts'
import { S3Error } from './error.ts'
import type { Patience } from './received-body.ts'
import type { S3Request } from './request.ts'
import { toXml, type XmlValue } from './xml.ts'

export type Exchange = {
  app: App
  request: IncomingMessage
  response: ServerResponse
  /** Bucket, key and parameters. */
  s3: S3Request
  requestId: string
  /** Aborts when the client disconnects. */
  signal: AbortSignal
  patience: Patience
  /** Value of x-amz-content-sha256. Null for a request without a signature. */
  payload: string | null
  signer: ChunkSigner | null
  /** Null for a request without a signature. */
  key: SigningKey | null
  /** Tells a client that waits for it to send the body. */
  beginBody(): void
}

/** A request on a bucket or an object that exists and that its key may use. */
export type BucketExchange = Exchange & { bucket: ServedBucket }

export function sendXml(
  { response }: Exchange,
  root: string,
  content: { [name: string]: XmlValue },
  headers: Record<string, string> = {},
): void {
  const body = toXml(root, content)
  response.writeHead(200, { ...headers, 'Content-Type': 'application/xml', 'Content-Length': Buffer.byteLength(body) })
  response.end(body)
}

export function sendEmpty({ response }: Exchange, status: 200 | 204, headers: Record<string, string> = {}): void {
  response.writeHead(status, status === 204 ? headers : { ...headers, 'Content-Length': '0' })
  response.end()
}

export const headerOf = ({ request }: Exchange, name: string): string | undefined => {
  const value = request.headers[name]
  return Array.isArray(value) ? value.join(', ') : value
}

/** A number in a parameter. Throws S3Error. */
export function numberIn({ s3 }: Exchange, name: string, { min, max, fallback }: { min: number; max: number; fallback: number }): number {
  const text = s3.parameters.get(name)
  if (text === undefined || text === '') return fallback
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= min)) throw new S3Error('InvalidArgument', `${name} must be an integer from ${min} to ${max}.`)
  return value
}
