import type { ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { BlobErrorCode } from '../domain/resources/stored-object/index.ts'
import { PortError } from '../platform/errors.ts'
import type { Patience } from './received-body.ts'

const leniencyMs = 60_000
const wrongSize = () => new PortError<BlobErrorCode>('BLOB_MISSING', 'The store returned another number of bytes than the object has.')

/**
 * Sends the body of a response of a known size. Rejects if the stream fails or has another size, or if the client disconnects or reads too slowly.
 * The connection is then destroyed, which tells the client that the response is not complete.
 */
export async function sendStream(
  content: Readable,
  response: ServerResponse,
  { sizeBytes, patience, signal }: { sizeBytes: number; patience: Patience; signal: AbortSignal },
): Promise<void> {
  const startedAt = performance.now()
  let sent = 0
  let progressAt = startedAt
  content.on('data', (chunk: Buffer) => {
    sent += chunk.length
    progressAt = performance.now()
    if (sent > sizeBytes) content.destroy(wrongSize())
  })
  const timer = setInterval(
    () => {
      const now = performance.now()
      const isStalled = response.writableNeedDrain && now - progressAt > patience.stallMs
      const isSlow = now - startedAt > leniencyMs + (sent / patience.bytesPerSecond) * 1_000
      if (isStalled || isSlow) response.destroy()
    },
    Math.min(1_000, patience.stallMs / 2),
  )
  content.once('end', () => {
    if (sent < sizeBytes) response.destroy(wrongSize())
  })
  try {
    await pipeline(content, response, { signal })
  } finally {
    clearInterval(timer)
  }
}
