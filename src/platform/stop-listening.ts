import type { Server } from 'node:http'
import { Server as NetServer } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { pause } from './clock.ts'

/** Bounds the wait where connections never cease. */
const maxTurns = 1_000

/** Wait until no connection has been accepted for `quietMs`, but no longer than `withinMs`. */
export type Calm = { quietMs: number; withinMs: number }

/**
 * Closes the port of a server. Open connections stay, idle ones too, because a request may be on its way on them: Node's own `close` of
 * an HTTP server would cut those. The kernel resets connections that it has completed and the process has not accepted yet, so the port
 * is closed right after a turn of the event loop in which none was accepted. Without `calm`, most stops under load still reset one, unless
 * another process listens on the port and gets it from the kernel. `ended` resolves when the last connection is closed.
 */
export async function stopListening(server: Server, calm?: Calm): Promise<{ ended: Promise<void> }> {
  const startedAt = performance.now()
  let acceptedAt = startedAt
  const note = () => {
    acceptedAt = performance.now()
  }
  server.on('connection', note)
  if (calm) {
    const isCalm = () => performance.now() - acceptedAt >= calm.quietMs || performance.now() - startedAt >= calm.withinMs
    while (!isCalm()) await pause(5)
  }
  for (let turns = 0, before = Number.NaN; before !== acceptedAt && turns < maxTurns; turns += 1) {
    before = acceptedAt
    await nextTurn()
  }
  server.off('connection', note)
  return { ended: new Promise((resolve) => NetServer.prototype.close.call(server, () => resolve())) }
}
