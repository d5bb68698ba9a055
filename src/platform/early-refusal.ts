/**
 * Refuses requests that fail before they can be routed: headers that are too large, bytes that aren't HTTP, a client that sends too slowly.
 * Each door declares its error format. The answer uses the format of the door that the path belongs to, or merges all of them if the path
 * is unknown.
 */
import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { ConnectionError, FastifyInstance } from 'fastify'
import { type DomainError, errors } from './errors.ts'

/** The error format of one door. */
export type EarlyWording = {
  /** Whether a path, without its query string, belongs to the door. */
  owns(path: string): boolean
  body(refused: { status: number; error: DomainError; requestId: string }): object
}

declare module 'fastify' {
  interface FastifyInstance {
    earlyWordings: EarlyWording[]
  }
}

/** Maximum size of a request line and its headers together. Beyond four times as much, Node stops reading. */
export const maxHeaderBytes = 16 * 1024
const maxReadHeaderBytes = 4 * maxHeaderBytes

const refusals: Record<number, { phrase: string; text: string }> = {
  400: { phrase: 'Bad Request', text: 'The request is not valid HTTP.' },
  408: { phrase: 'Request Timeout', text: 'The request did not arrive in time.' },
  431: { phrase: 'Request Header Fields Too Large', text: `The request line and headers must not exceed ${maxHeaderBytes} bytes.` },
}

const statusOf: Record<string, number> = { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 }

/** `options` are for the constructor of the server. Call `add` before any hook that may answer. */
export function createEarlyRefusals() {
  const wordings: EarlyWording[] = []
  /** The last response on a connection, in progress or finished. */
  const lastOn = new WeakMap<Socket, ServerResponse>()

  const answer = (error: ConnectionError, socket: Socket): void => {
    const status = statusOf[error.code] ?? 400
    const last = lastOn.get(socket)
    const begun = last?.writableFinished ? undefined : last
    // A response that has begun can't be interrupted by another one.
    if (error.code === 'ECONNRESET' || !socket.writable || begun?.headersSent) return void socket.destroy()
    const path = begun ? pathOfUrl(begun.req.url ?? '') : pathOf(error.rawPacket)
    const requestId = randomUUID()
    const refused = { status, error: errors.invalid_input({ text: refusals[status]!.text }), requestId }
    const owners = wordings.filter(({ owns }) => path !== null && owns(path))
    const body = JSON.stringify(Object.assign({}, ...(owners.length > 0 ? owners.slice(0, 1) : wordings).map((door) => door.body(refused))))
    socket.end(
      `HTTP/1.1 ${status} ${refusals[status]!.phrase}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` +
        `Cache-Control: no-store\r\nX-Request-Id: ${requestId}\r\nConnection: close\r\n\r\n${body}`,
    )
  }

  return {
    options: { clientErrorHandler: answer, http: { maxHeaderSize: maxReadHeaderBytes } },
    add(server: FastifyInstance): void {
      server.decorate('earlyWordings', wordings)
      server.addHook('onRequest', ({ raw }, reply, done) => {
        lastOn.set(raw.socket, reply.raw)
        const isTooLarge = headerBytes(raw.rawHeaders, raw.url) > maxHeaderBytes
        done(isTooLarge ? Object.assign(new Error(refusals[431]!.text), { statusCode: 431 }) : undefined)
      })
    },
  }
}

function headerBytes(rawHeaders: readonly string[], url = ''): number {
  let sum = url.length
  for (const part of rawHeaders) sum += part.length + 2
  return sum
}

/** The path of the request line, if the packet starts with one. */
function pathOf(packet: unknown): string | null {
  const line = Buffer.isBuffer(packet) ? /^[A-Z]+ (\/[^\s]*)/.exec(packet.subarray(0, 8_192).toString('latin1')) : null
  return line ? pathOfUrl(line[1]!) : null
}

const pathOfUrl = (url: string): string => url.split('?', 1)[0]!
