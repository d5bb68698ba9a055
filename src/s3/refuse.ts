/** How a request is refused, also one whose body was not read. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { S3Error } from './error.ts'
import { errorXml } from './xml.ts'

/** A client that is still sending reads the response only if the connection stays open for a moment. */
const linger = { ms: 2_000, bytes: 4 * 1024 ** 2 }
/** Less than this is read completely, so that the connection can be used again. */
const smallBodyBytes = 64 * 1024

export function refuse(request: IncomingMessage, response: ServerResponse, error: S3Error, requestId: string): void {
  if (response.headersSent || response.destroyed) return void response.destroy()
  const resource = (request.url ?? '/').split('?', 1)[0]!
  const body = request.method === 'HEAD' || error.code === 'NotModified' ? '' : errorXml(documentOf(error, resource, requestId))
  if (hasUnreadBody(request)) readOn(request, response)
  if (error.code === 'SlowDown') response.setHeader('Retry-After', '1')
  response.writeHead(error.status, { 'Content-Type': 'application/xml', 'Content-Length': Buffer.byteLength(body) })
  response.end(body)
}

const documentOf = (error: S3Error, resource: string, requestId: string) => ({
  Code: error.code,
  Message: error.message,
  Resource: resource,
  RequestId: requestId,
})

const hasUnreadBody = (request: IncomingMessage): boolean =>
  !request.complete && (request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined)

function readOn(request: IncomingMessage, response: ServerResponse): void {
  const isSmall = Number(request.headers['content-length'] ?? Number.POSITIVE_INFINITY) <= smallBodyBytes
  const waits = request.headers.expect !== undefined
  if (!isSmall || waits) response.shouldKeepAlive = false
  const { socket } = request
  const close = () => socket.destroy()
  const timer = setTimeout(close, linger.ms)
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > linger.bytes) close()
  })
  for (const event of ['end', 'close']) request.once(event, () => clearTimeout(timer))
  request.resume()
}
