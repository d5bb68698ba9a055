/** Requests byte by byte, for what no well-behaved client sends. */
import { createHash, createHmac } from 'node:crypto'
import { type IncomingHttpHeaders, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import type { Key } from './support.ts'

export type Answer = { status: number; headers: IncomingHttpHeaders; body: string; code: string | null }

export type RawRequest = { method?: string; path: string; headers?: Record<string, string>; body?: string | Buffer; port: number }

/** Sends one request and reads its answer. `code` is that of an error in S3's XML. */
export function send({ method = 'GET', path, headers = {}, body, port }: RawRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, method, path, headers }, async (response) => {
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk as Buffer)
      const text = Buffer.concat(chunks).toString()
      resolve({ status: response.statusCode!, headers: response.headers, body: text, code: codeOf(text) })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

const codeOf = (text: string): string | null => /<Code>(\w+)<\/Code>/.exec(text)?.[1] ?? null

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex')
const hmac = (key: string | Buffer, data: string) => createHmac('sha256', key).update(data).digest()

export type SignedRequest = {
  method: string
  /** Percent-encoded. */
  path: string
  query?: string
  host: string
  key: Key
  /** Value of x-amz-content-sha256. */
  payload?: string
  headers?: Record<string, string>
}

/** Headers with a signature that is computed here, independently of the program and of its libraries. */
export function signedHeaders({ method, path, query = '', host, key, payload = 'UNSIGNED-PAYLOAD', headers = {} }: SignedRequest) {
  const longDate = new Date().toISOString().replace(/[-:]|\.\d+/g, '')
  const all: Record<string, string> = { ...headers, host, 'x-amz-content-sha256': payload, 'x-amz-date': longDate }
  const names = Object.keys(all).sort()
  const scope = `${longDate.slice(0, 8)}/us-east-1/s3/aws4_request`
  const canonical = [method, path, query, ...names.map((name) => `${name}:${all[name]}`), '', names.join(';'), payload].join('\n')
  const signingKey = ['us-east-1', 's3', 'aws4_request'].reduce<Buffer>(hmac, hmac(`AWS4${key.secretAccessKey}`, longDate.slice(0, 8)))
  const signature = hmac(signingKey, ['AWS4-HMAC-SHA256', longDate, scope, sha256(canonical)].join('\n')).toString('hex')
  const authorization = `AWS4-HMAC-SHA256 Credential=${key.accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`
  return { headers: { ...all, authorization }, longDate, scope, signingKey, signature }
}

/** A body of signed chunks that follows a request with these headers. `trailer` ends it. */
export function signedChunks(
  { longDate, scope, signingKey, signature }: ReturnType<typeof signedHeaders>,
  chunks: readonly Buffer[],
  trailer?: string,
): Buffer {
  let former = signature
  const sign = (...lines: string[]) => {
    former = hmac(signingKey, [lines[0], longDate, scope, former, ...lines.slice(1)].join('\n')).toString('hex')
    return former
  }
  const parts = [...chunks, Buffer.alloc(0)].map((chunk) => {
    const head = `${chunk.length.toString(16)};chunk-signature=${sign('AWS4-HMAC-SHA256-PAYLOAD', sha256(''), sha256(chunk))}\r\n`
    return Buffer.concat([Buffer.from(head), chunk, Buffer.from(chunk.length > 0 ? '\r\n' : '')])
  })
  if (trailer === undefined) return Buffer.concat([...parts, Buffer.from('\r\n')])
  const end = `${trailer}\r\nx-amz-trailer-signature:${sign('AWS4-HMAC-SHA256-TRAILER', sha256(`${trailer}\n`))}\r\n\r\n`
  return Buffer.concat([...parts, Buffer.from(end)])
}

/** A connection on which a request can be sent in pieces. `answer` resolves with all that was received when the connection closes. */
export function open(port: number): { socket: Socket; answer: Promise<string> } {
  const socket = connect({ host: '127.0.0.1', port })
  const chunks: Buffer[] = []
  const answer = new Promise<string>((resolve) => {
    socket.on('data', (data) => chunks.push(data))
    socket.on('error', () => {})
    socket.on('close', () => resolve(Buffer.concat(chunks).toString()))
  })
  return { socket, answer }
}
