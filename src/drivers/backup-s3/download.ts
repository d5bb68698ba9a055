/** Downloads that survive interruptions: what is missing is requested again. A body that was cut off never passes for a whole object. */

import { Readable } from 'node:stream'
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3'
import { pause } from '../../platform/clock.ts'
import { explained, isMissingObject, loadSdk, type Requests } from './client.ts'
import type { ObjectPlace } from './upload.ts'

const defaultStallMs = 60_000
/** Consecutive interruptions without any progress. */
const interruptionsMost = 4
const firstPauseMs = 250

type Response = Pick<GetObjectCommandOutput, 'Body' | 'ContentLength' | 'ETag'>

/** The content of an object. Null if there is none. */
export async function download(requests: Requests, place: ObjectPlace, stallMs = defaultStallMs): Promise<Readable | null> {
  const sdk = await loadSdk()
  const request = (range: object): Promise<Response> =>
    requests.send((client, abortSignal) => client.send(new sdk.GetObjectCommand({ ...place, ...range }), { abortSignal }))
  let first: Response
  try {
    first = await request({})
  } catch (error) {
    if (isMissingObject(error)) return null
    throw error
  }
  const rest = (offset: number) => request({ Range: `bytes=${offset}-`, IfMatch: first.ETag })
  return Readable.from(contentOf(first, rest, stallMs), { objectMode: false })
}

async function* contentOf(first: Response, rest: (offset: number) => Promise<Response>, stallMs: number): AsyncGenerator<Buffer> {
  const size = first.ContentLength ?? 0
  let [response, offset, interruptions] = [first, 0, 0]
  for (;;) {
    try {
      for await (const chunk of bodyOf(response, stallMs)) {
        interruptions = 0
        offset += chunk.length
        yield chunk
      }
      if (offset >= size) return
      throw new Error('The response was cut off.')
    } catch (error) {
      if (++interruptions > interruptionsMost) throw explained(error)
      await pause(firstPauseMs * 2 ** interruptions)
      response = await rest(offset)
    }
  }
}

/** Fails if the storage pauses for too long. The reader may pause. */
async function* bodyOf({ Body }: Response, stallMs: number): AsyncGenerator<Buffer> {
  const body = Body as Readable
  const chunks = body[Symbol.asyncIterator]()
  try {
    for (;;) {
      const timer = setTimeout(() => body.destroy(new Error('The response stalled.')), stallMs)
      const next = await chunks.next().finally(() => clearTimeout(timer))
      if (next.done) return
      yield next.value
    }
  } finally {
    body.destroy()
  }
}
