/**
 * Stores blobs in a bucket of another S3 server. Requests are signed anew with the installation's own key, and bodies pass through as they
 * arrive. The SDK is loaded at first use.
 */
import { PassThrough, type Readable } from 'node:stream'
import type { S3Client } from '@aws-sdk/client-s3'
import type { BlobErrorCode, BlobStore } from '../../domain/resources/stored-object/ports.ts'
import { PortError } from '../../platform/errors.ts'

export type BlobS3Options = {
  endpoint: string
  region: string
  accessKeyId: string
  secretAccessKey: string
  /** Created if missing. */
  bucket: string
  /** Maximum time without traffic on a connection. */
  stallMs?: number
}

type Sdk = typeof import('@aws-sdk/client-s3') & { client: S3Client }

const connectMs = 5_000
const maxSockets = 200
const removalsAtOnce = 8

export function createBlobS3(options: BlobS3Options): BlobStore & { close(): Promise<void> } {
  const { bucket: Bucket } = options
  let loading: Promise<Sdk> | undefined
  let ready: Promise<void> | undefined

  const load = (): Promise<Sdk> => {
    loading ??= loadSdk(options)
    return loading
  }
  /** Once the bucket is known to exist, nobody asks again. */
  const prepare = async (sdk: Sdk): Promise<void> => {
    ready ??= ensureBucket(sdk, Bucket)
    try {
      await ready
    } catch (error) {
      ready = undefined
      throw error
    }
  }

  return {
    async write(name, content, { sizeBytes, signal }) {
      const failed = new AbortController()
      content.once('error', (error) => failed.abort(error))
      try {
        const sdk = await load()
        await prepare(sdk)
        await sdk.client.send(new sdk.PutObjectCommand({ Bucket, Key: name, Body: content, ContentLength: sizeBytes }), {
          abortSignal: AbortSignal.any([signal, failed.signal]),
        })
      } catch (error) {
        // The stream's own failure is told as it is.
        throw failed.signal.aborted ? failed.signal.reason : signal.aborted ? signal.reason : unavailable(error)
      } finally {
        content.on('error', () => {}).destroy()
      }
    },
    async read(name, { start, end }, signal) {
      try {
        const sdk = await load()
        const { Body } = await sdk.client.send(new sdk.GetObjectCommand({ Bucket, Key: name, Range: `bytes=${start}-${end}` }), {
          abortSignal: signal,
        })
        return withPortErrors(Body as unknown as Readable)
      } catch (error) {
        if (nameOf(error) === 'NoSuchKey')
          throw new PortError<BlobErrorCode>('BLOB_MISSING', 'The bytes of the object are missing.', { cause: error })
        throw unavailable(error)
      }
    },
    async remove(names) {
      const waiting = [...names]
      const removeNext = async (sdk: Sdk): Promise<void> => {
        for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
          await sdk.client.send(new sdk.DeleteObjectCommand({ Bucket, Key: name }))
        }
      }
      try {
        const sdk = await load()
        await prepare(sdk)
        await Promise.all(Array.from({ length: removalsAtOnce }, () => removeNext(sdk)))
      } catch (error) {
        throw unavailable(error)
      }
    },
    async close() {
      const sdk = await loading?.catch(() => undefined)
      sdk?.client.destroy()
    },
  }
}

async function loadSdk({ endpoint, region, accessKeyId, secretAccessKey, stallMs = 60_000 }: BlobS3Options): Promise<Sdk> {
  const sdk = await import('@aws-sdk/client-s3')
  const client = new sdk.S3Client({
    ...{ endpoint, region, credentials: { accessKeyId, secretAccessKey }, forcePathStyle: true },
    // Other servers may not know the newer checksums, which the domain has computed already.
    ...{ requestChecksumCalculation: 'WHEN_REQUIRED', responseChecksumValidation: 'WHEN_REQUIRED' },
    // The client of Quayside repeats its request. A stream cannot be sent twice.
    maxAttempts: 1,
    // Failures are reported by those who make the requests.
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    requestHandler: {
      connectionTimeout: connectMs,
      socketTimeout: stallMs,
      httpAgent: { keepAlive: true, maxSockets },
      httpsAgent: { keepAlive: true, maxSockets },
    },
  })
  return { ...sdk, client }
}

async function ensureBucket({ client, HeadBucketCommand, CreateBucketCommand }: Sdk, Bucket: string): Promise<void> {
  try {
    await client.send(new HeadBucketCommand({ Bucket }))
  } catch (error) {
    if (nameOf(error) !== 'NotFound' && nameOf(error) !== 'NoSuchBucket') throw error
    await client.send(new CreateBucketCommand({ Bucket }))
  }
}

/** A stream that fails with a PortError if the connection to the store does. */
function withPortErrors(body: Readable): Readable {
  const out = new PassThrough({ highWaterMark: 256 * 1024 })
  body.on('error', (error) => out.destroy(unavailable(error)))
  out.on('close', () => body.destroy())
  return body.pipe(out)
}

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : '')

const unavailable = (cause: unknown): PortError<BlobErrorCode> =>
  new PortError('STORE_UNAVAILABLE', 'The S3 server with the bytes of the objects is not available.', { cause })
