/** An object storage with the part of the S3 API that backups use, which fails on request. It checks no signatures. */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

export type StorageRequest = { method: string; key: string; query: URLSearchParams; range: string | undefined }

/**
 * `away`: the connection is reset. `stall`: nothing is answered, or the body ends in the middle without an end. `cut`: the connection is closed
 * in the middle of the body. `late`: the request is carried out, but not answered. A number is a status.
 */
export type Fault = 'away' | 'stall' | 'cut' | 'late' | number | null

export type ObjectStorage = {
  endpoint: string
  objects: Map<string, Buffer>
  /** Unfinished uploads, by id. */
  uploads: Map<string, { key: string; begunAt: Date; parts: Map<number, Buffer> }>
  requests: StorageRequest[]
  /** Decides about each request. */
  fault(request: StorageRequest): Fault
  close(): Promise<void>
}

export const bucketName = 'backups'

export async function startObjectStorage(): Promise<ObjectStorage> {
  const server = createServer((request, response) => {
    answer(storage, request, response).catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const storage: ObjectStorage = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    objects: new Map(),
    uploads: new Map(),
    requests: [],
    fault: () => null,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return storage
}

async function answer(storage: ObjectStorage, message: IncomingMessage, response: ServerResponse): Promise<unknown> {
  const url = new URL(message.url!, storage.endpoint)
  const [, bucket, ...path] = decodeURIComponent(url.pathname).split('/')
  const request = { method: message.method!, key: path.join('/'), query: url.searchParams, range: message.headers.range }
  storage.requests.push(request)
  const fault = storage.fault(request)
  if (fault === 'away') return message.destroy()
  const body = await buffer(message)
  if (typeof fault === 'number') return fail(response, fault, 'InternalError')
  if (fault === 'stall' && request.method !== 'GET') return null
  if (bucket !== bucketName) return fail(response, 404, 'NoSuchBucket')
  const sent = message.headers['x-amz-content-sha256']
  if (body.length > 0 && sent !== createHash('sha256').update(body).digest('hex')) return fail(response, 400, 'XAmzContentSHA256Mismatch')
  if (fault === 'late') response.end = () => response
  return respond(storage, request, body, response, fault)
}

function respond(storage: ObjectStorage, request: StorageRequest, body: Buffer, response: ServerResponse, fault: Fault): unknown {
  const { objects, uploads } = storage
  const { method, key, query, range } = request
  const uploadId = query.get('uploadId') ?? ''
  const upload = uploads.get(uploadId)
  if (query.has('uploadId') && upload?.key !== key) return fail(response, 404, 'NoSuchUpload')
  if (method === 'POST' && query.has('uploads')) {
    const id = `upload-${storage.requests.length}`
    uploads.set(id, { key, begunAt: new Date(), parts: new Map() })
    return xml(response, `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`)
  }
  if (method === 'PUT' && upload) {
    upload.parts.set(Number(query.get('partNumber')), body)
    response.setHeader('ETag', etagOf(body))
    return response.end()
  }
  if (method === 'POST' && upload) {
    const parts = [...body.toString().matchAll(/<PartNumber>(\d+)</g)].map(([, number]) => upload.parts.get(Number(number))!)
    if (parts.slice(0, -1).some(({ length }) => length < 5 * 1024 ** 2)) return fail(response, 400, 'EntityTooSmall')
    objects.set(key, Buffer.concat(parts))
    uploads.delete(uploadId)
    return xml(response, '<CompleteMultipartUploadResult></CompleteMultipartUploadResult>')
  }
  if (method === 'DELETE') {
    if (upload) uploads.delete(uploadId)
    else objects.delete(key)
    return response.writeHead(204).end()
  }
  if (query.has('uploads')) return xml(response, listing(storage, query))
  const content = objects.get(key)
  if (!content) return fail(response, 404, 'NoSuchKey')
  const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0)
  const rest = content.subarray(from)
  response.writeHead(range ? 206 : 200, { 'Content-Length': rest.length, ETag: etagOf(content) })
  if (fault === null) return response.end(rest)
  return response.write(rest.subarray(0, Math.ceil(rest.length / 2)), () => {
    if (fault === 'cut') response.destroy()
  })
}

/** One upload to a page, so that there are pages. */
function listing({ uploads }: ObjectStorage, query: URLSearchParams): string {
  const after = query.get('upload-id-marker') ?? ''
  const left = [...uploads]
    .filter(([id, { key }]) => key.startsWith(query.get('prefix') ?? '') && id > after)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  const page = left.slice(0, 1).map(([id, { key, begunAt }]) => {
    const begun = begunAt.toISOString()
    return `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${begun}</Initiated></Upload><NextKeyMarker>${key}</NextKeyMarker><NextUploadIdMarker>${id}</NextUploadIdMarker>`
  })
  return `<ListMultipartUploadsResult><IsTruncated>${left.length > 1}</IsTruncated>${page.join('')}</ListMultipartUploadsResult>`
}

const etagOf = (body: Buffer) => `"${createHash('md5').update(body).digest('hex')}"`

function xml(response: ServerResponse, text: string): ServerResponse {
  return response.writeHead(200, { 'Content-Type': 'application/xml' }).end(`<?xml version="1.0" encoding="UTF-8"?>${text}`)
}

function fail(response: ServerResponse, status: number, code: string): ServerResponse {
  return response.writeHead(status, { 'Content-Type': 'application/xml' }).end(`<?xml version="1.0"?><Error><Code>${code}</Code></Error>`)
}
