/**
 * Parses answers. A large one takes long to parse, and about as long again to be written to the caller, so that many at once would hold up
 * everything else: they are parsed one after the other in the process, each in a turn of the event loop of its own.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'

const largeBytes = 100_000

let turn: Promise<void> = Promise.resolve()

/** The JSON of a body; undefined if it is none. */
export async function parsed(body: Uint8Array): Promise<unknown> {
  if (body.byteLength > largeBytes) {
    turn = turn.then(() => nextTurn())
    await turn
  }
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'))
  } catch {
    return undefined
  }
}
