/** Uploads of unknown size in parts: an object exists only when its upload is completed. Holds two parts in memory. */
import { createHash } from 'node:crypto'
import { addAbortSignal, type Readable } from 'node:stream'
import { PortError } from '../../platform/errors.ts'
import { loadSdk, type Requests } from './client.ts'

export type ObjectPlace = { Bucket: string; Key: string }

/** All parts except the last one have this size, as some storages require. */
const partBytes = 16 * 1024 ** 2
/** The limit of S3. */
const partsMost = 10_000

/** Stores all content as an object, or nothing. */
export async function upload({ send }: Requests, place: ObjectPlace, content: Readable, signal: AbortSignal): Promise<void> {
  const sdk = await loadSdk()
  const { UploadId } = await send(
    (client, abortSignal) =>
      client.send(new sdk.CreateMultipartUploadCommand({ ...place, ContentType: 'application/zstd' }), { abortSignal }),
    signal,
  )
  const part = { ...place, UploadId }
  try {
    const parts = await uploadParts(content, signal, async ({ body, sha256 }, PartNumber) => {
      const command = new sdk.UploadPartCommand({ ...part, PartNumber, Body: body })
      // Otherwise the signature would compute it for all bytes at once.
      command.middlewareStack.add(
        (next) => (args) => {
          Object.assign((args.request as { headers: object }).headers, { 'x-amz-content-sha256': sha256 })
          return next(args)
        },
        { step: 'build' },
      )
      const { ETag } = await send((client, abortSignal) => client.send(command, { abortSignal }), signal)
      return { PartNumber, ETag }
    })
    const complete = new sdk.CompleteMultipartUploadCommand({ ...part, MultipartUpload: { Parts: parts } })
    try {
      await send((client, abortSignal) => client.send(complete, { abortSignal }), signal)
    } catch (error) {
      // The response may have been lost after the object was made.
      await send((client, abortSignal) => client.send(new sdk.DeleteObjectCommand(place), { abortSignal })).catch(() => {})
      throw error
    }
  } catch (error) {
    content.destroy()
    // A later sweep aborts it, if this does not.
    await send((client, abortSignal) => client.send(new sdk.AbortMultipartUploadCommand(part), { abortSignal })).catch(() => {})
    throw error
  }
}

type Part = { body: Buffer; sha256: string }

/** Uploads one part while the next one is read. */
async function uploadParts<Result>(
  content: Readable,
  signal: AbortSignal,
  send: (part: Part, number: number) => Promise<Result>,
): Promise<Result[]> {
  addAbortSignal(signal, content)
  const sent: Promise<Result>[] = []
  try {
    for await (const part of partsOf(content)) {
      await sent.at(-1)
      if (sent.length === partsMost) throw tooLarge()
      const sending = send(part, sent.length + 1)
      sending.catch((error) => content.destroy(error))
      sent.push(sending)
    }
  } catch (error) {
    signal.throwIfAborted()
    throw error
  }
  return Promise.all(sent)
}

/**
 * At least one part, which may be empty. Two buffers take turns, because garbage of this size would pile up: a part is valid until the next
 * but one is requested.
 */
async function* partsOf(content: Readable): AsyncGenerator<Part> {
  let body = Buffer.allocUnsafeSlow(partBytes)
  let other = Buffer.allocUnsafeSlow(partBytes)
  let filled = 0
  let hash = createHash('sha256')
  let count = 0
  const take = (): Part => {
    const part = { body: body.subarray(0, filled), sha256: hash.digest('hex') }
    const former = body
    body = other
    other = former
    filled = 0
    hash = createHash('sha256')
    count++
    return part
  }
  for await (const chunk of content as AsyncIterable<Buffer | string>) {
    for (let rest = typeof chunk === 'string' ? Buffer.from(chunk) : chunk; rest.length > 0; ) {
      const bytes = rest.copy(body, filled)
      hash.update(rest.subarray(0, bytes))
      filled += bytes
      rest = rest.subarray(bytes)
      if (filled === partBytes) yield take()
    }
  }
  if (filled > 0 || count === 0) yield take()
}

const tooLarge = () =>
  new PortError(
    'NO_CAPACITY',
    `The archive of the backup exceeds the ${Math.floor((partBytes * partsMost) / 1e9)} GB that can be stored in a bucket.`,
  )
