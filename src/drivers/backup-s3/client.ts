/** Requests to an object storage with the S3 API: each with a time limit, and with errors in the words of the backup store. */
import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3'
import type { BackupErrorCode } from '../../domain/resources/backup/ports.ts'
import { PortError } from '../../platform/errors.ts'
import type { Secret } from '../../platform/settings.ts'

export type BucketOptions = {
  /** Unset: that of AWS in the region. */
  endpoint: string | undefined
  region: string
  bucket: string
  accessKeyId: string
  secretAccessKey: Secret
  /** Start of the keys of all objects, which nothing else in the bucket has. */
  prefix: string
  /** How long a request may take until its response begins, with its repetitions. */
  answerMs?: number
  /** How long the body of a response may pause. */
  stallMs?: number
}

const defaultAnswerMs = 300_000
const attempts = 4

export type Requests = {
  /** Runs a request with the client. Throws PortError. If `signal` aborts, throws its reason. */
  send<Output>(request: (client: S3Client, abortSignal: AbortSignal) => Promise<Output>, signal?: AbortSignal): Promise<Output>
}

export type Sdk = typeof import('@aws-sdk/client-s3')

/** Loaded at the first use, because it takes 20 MB of memory. */
export const loadSdk = (): Promise<Sdk> => import('@aws-sdk/client-s3')

export function createRequests(options: BucketOptions): Requests {
  const { answerMs = defaultAnswerMs } = options
  let opened: Promise<S3Client> | undefined
  return {
    async send(request, signal) {
      opened ??= loadSdk().then(({ S3Client: Client }) => new Client(configOf(options)))
      const client = await opened
      signal?.throwIfAborted()
      const over = new AbortController()
      const stop = () => over.abort(signal?.reason)
      signal?.addEventListener('abort', stop, { once: true })
      const timer = setTimeout(() => over.abort(), answerMs)
      try {
        return await request(client, over.signal)
      } catch (error) {
        signal?.throwIfAborted()
        throw explained(error, over.signal.aborted)
      } finally {
        clearTimeout(timer)
        signal?.removeEventListener('abort', stop)
      }
    },
  }
}

const configOf = ({ endpoint, region, accessKeyId, secretAccessKey }: BucketOptions): S3ClientConfig => ({
  region,
  // Not every storage has a name for each bucket.
  ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
  credentials: { accessKeyId, secretAccessKey: secretAccessKey.reveal() },
  maxAttempts: attempts,
  // Not every storage knows these checksums. The signature covers the SHA-256 of each part.
  requestChecksumCalculation: 'WHEN_REQUIRED',
  responseChecksumValidation: 'WHEN_REQUIRED',
  requestHandler: { connectionTimeout: 10_000 },
})

type Failure = Error & { code?: string; $metadata?: { httpStatusCode?: number } }

export const isMissingObject = (error: unknown): boolean =>
  error instanceof PortError && (error.cause as Failure | undefined)?.name === 'NoSuchKey'

const full = new Set(['QuotaExceeded', 'XMinioStorageFull', 'InsufficientStorage'])
const insufficientStorage = 507

/** The reason without addresses: users read it. */
export function explained(error: unknown, isLate = false): PortError<BackupErrorCode> {
  const { name, code, $metadata } = error as Failure
  const status = $metadata?.httpStatusCode
  if (full.has(name) || status === insufficientStorage)
    return new PortError('NO_CAPACITY', 'The object storage of the backups has too little free space.', { cause: error })
  const reason = isLate ? 'It did not answer in time' : status === undefined ? (code ?? name) : `${name}, status ${status}`
  return new PortError('STORE_UNAVAILABLE', `The object storage of the backups cannot be used: ${reason}.`, { cause: error })
}
