/** What every store of blobs promises, and what the one on another S3 server does when that server fails. */
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { BlobStore } from '../../src/domain/resources/stored-object/ports.ts'
import { createBlobDisk } from '../../src/drivers/blob-disk/index.ts'
import { createBlobS3 } from '../../src/drivers/blob-s3/index.ts'
import { PortError } from '../../src/platform/errors.ts'
import { type Endpoint, refusalOf, runChore, s3World, startEndpoint, storeIn, stores, usageOf } from '../s3/support.ts'

const nameOf = (key = 'a/b') => `photos/${key}/${randomUUID()}`
const { signal } = new AbortController()
const codeOf = (outcome: Promise<unknown>) =>
  outcome.then(
    () => 'done',
    (error: unknown) => (error instanceof PortError ? error.code : error instanceof Error ? error.message : String(error)),
  )
/** A body that fails after its first part. */
const failing = (bytes: Buffer) =>
  Readable.from(
    (async function* () {
      yield bytes
      throw new Error('the client is gone')
    })(),
    { objectMode: false },
  )

describe.each(stores)('in %s', (kind) => {
  let directory: string
  let backing: Endpoint | null = null
  let store: BlobStore & { close?(): Promise<void> }
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'quayside-blobs-'))
    backing = kind === 'files' ? null : await startEndpoint()
    store = backing ? await storeIn(backing) : createBlobDisk({ directory, reserveBytes: 0 })
  })
  afterAll(async () => {
    await store.close?.()
    await backing?.close()
    await rm(directory, { recursive: true })
  })

  it('a blob is read whole and in part, until it is removed', async () => {
    const [name, bytes] = [nameOf(), randomBytes(3_000_000)]
    await store.write(name, Readable.from([bytes.subarray(0, 1), bytes.subarray(1)]), { sizeBytes: bytes.length, signal })
    expect((await buffer(await store.read(name, { start: 0, end: bytes.length - 1 }, signal))).equals(bytes)).toBe(true)
    expect(
      (await buffer(await store.read(name, { start: 1_000_000, end: 1_000_009 }, signal))).equals(bytes.subarray(1_000_000, 1_000_010)),
    ).toBe(true)
    await store.remove([name, nameOf()])
    expect(await codeOf(store.read(name, { start: 0, end: 0 }, signal))).toBe('BLOB_MISSING')
  })

  it('a body that fails and a signal that aborts leave nothing that can be read', async () => {
    const name = nameOf()
    expect(await codeOf(store.write(name, failing(randomBytes(200_000)), { sizeBytes: 500_000, signal }))).toBe('the client is gone')
    expect(await codeOf(store.read(name, { start: 0, end: 0 }, signal))).toBe('BLOB_MISSING')
    const aborting = new AbortController()
    const body = new Readable({ read() {} })
    body.push(randomBytes(100_000))
    const outcome = codeOf(store.write(name, body, { sizeBytes: 500_000, signal: aborting.signal }))
    aborting.abort(new Error('aborted'))
    expect(await outcome).toMatch(/abort/)
    expect(body.destroyed).toBe(true)
    expect(await codeOf(store.read(name, { start: 0, end: 0 }, signal))).toBe('BLOB_MISSING')
  })
})

it('a disk that is full refuses before it writes, and leaves no draft', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'quayside-blobs-'))
  const store = createBlobDisk({ directory, reserveBytes: Number.MAX_SAFE_INTEGER })
  expect(await codeOf(store.write(nameOf(), Readable.from([Buffer.alloc(10)]), { sizeBytes: 10, signal }))).toBe('NO_CAPACITY')
  const files = (await readdir(directory, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
  expect(files).toEqual([])
  // What an interrupted write left is removed with its blob.
  const id = randomUUID()
  await mkdir(join(directory, id.slice(-2)), { recursive: true })
  await writeFile(join(directory, id.slice(-2), `${id}.draft`), 'half')
  await store.remove([`photos/a/${id}`])
  expect(await readdir(join(directory, id.slice(-2)))).toEqual([])
  await rm(directory, { recursive: true })
})

type Behavior = (request: IncomingMessage, response: ServerResponse) => void

/** A server in place of an S3 server, which behaves as it is told. */
async function startServer(): Promise<{
  url: string
  behave(behavior: Behavior): void
  requests: string[]
  server: Server
  close(): Promise<void>
}> {
  let behavior: Behavior = (_, response) => response.end()
  const requests: string[] = []
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    behavior(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    server,
    behave: (next) => {
      behavior = next
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

describe('on an S3 server that fails', () => {
  let fake: Awaited<ReturnType<typeof startServer>>
  let store: ReturnType<typeof createBlobS3>
  beforeAll(async () => {
    fake = await startServer()
    store = createBlobS3({
      endpoint: fake.url,
      region: 'us-east-1',
      accessKeyId: 'id',
      secretAccessKey: 'secret',
      bucket: 'blobs',
      stallMs: 300,
    })
  })
  afterAll(async () => {
    await store.close()
    await fake.close()
  })
  const s3 = s3World('files', { store: () => store })
  const put = () => refusalOf(s3.client.send(new PutObjectCommand({ Bucket: s3.bucket.name, Key: 'a', Body: randomBytes(300_000) })))

  it('a bucket that is missing is created, once', async () => {
    fake.behave((request, response) => {
      request.on('end', () => response.writeHead(request.method === 'HEAD' ? 404 : 200).end()).resume()
    })
    expect(await put()).toBe('done')
    expect(await put()).toBe('done')
    expect(fake.requests.filter((line) => /^(HEAD|PUT) \/blobs\/?(\?|$)/.test(line))).toHaveLength(2)
    expect(fake.requests.filter((line) => line.startsWith(`PUT /blobs/${s3.bucket.name}/a/`))).toHaveLength(2)
  })

  it.each<[string, Behavior]>([
    ['refuses', (_, response) => response.writeHead(403).end()],
    ['fails', (request, response) => void request.on('end', () => response.writeHead(500).end()).resume()],
    ['cuts the connection', (request) => void request.once('data', () => request.socket.destroy())],
    ['answers before it has the body', (_, response) => response.writeHead(200).end()],
    ['never answers', (request) => void request.resume()],
    ['answers garbage', (request) => void request.once('data', () => request.socket.end('nonsense\r\n\r\n'))],
  ])('that %s: the upload is answered with SlowDown, and nothing is stored', async (_, behavior) => {
    const { bytes, objects } = await usageOf(s3, s3.bucket)
    fake.behave(behavior)
    expect(await put()).toBe('SlowDown 503')
    fake.behave((request, response) => void request.on('end', () => response.writeHead(204).end()).resume())
    await runChore(s3, 'purge blobs')
    expect(await usageOf(s3, s3.bucket)).toMatchObject({ bytes, objects })
  })

  it('that cuts a download: its stream fails', async () => {
    fake.behave((request, response) => {
      request.resume()
      response.writeHead(206, { 'content-length': '300000' })
      response.write(Buffer.alloc(1_000))
      setImmediate(() => response.destroy())
    })
    const stream = await store.read(nameOf(), { start: 0, end: 299_999 }, signal)
    expect(await codeOf(buffer(stream))).toBe('STORE_UNAVAILABLE')
  })

  it('that is away: SlowDown at once, and uploads work when it is back', async () => {
    const away = createBlobS3({
      endpoint: 'http://127.0.0.1:1',
      region: 'us-east-1',
      accessKeyId: 'id',
      secretAccessKey: 'secret',
      bucket: 'blobs',
    })
    expect(await codeOf(away.write(nameOf(), Readable.from([Buffer.alloc(10)]), { sizeBytes: 10, signal }))).toBe('STORE_UNAVAILABLE')
    expect(await codeOf(away.remove([nameOf()]))).toBe('STORE_UNAVAILABLE')
    await away.close()
    fake.behave((request, response) => void request.on('end', () => response.writeHead(200).end()).resume())
    expect(await put()).toBe('done')
  })
})
