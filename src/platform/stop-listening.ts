import type { Server } from 'node:http'
import { Server as NetServer } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { pause } from './clock.ts'

/** Limits the wait if connections keep arriving. */
const maxTurns = 1_000

/** How long to wait before the close: until no connection has been accepted for `quietMs`, but at most `withinMs`. */
export type QuietWait = { quietMs: number; withinMs: number }

/**
 * Closes the port of a server. Open connections stay, even idle ones, because a request may be in transit on them. (Node's own `close` of
 * an HTTP server would close those.) The kernel resets connections that it has established but the process has not accepted, so the port
 * is closed right after a turn of the event loop in which none was accepted. Without `quiet`, most stops under load still reset one, unless
 * another process listens on the port and receives it instead. `ended` resolves when the last connection is closed.
 */
export async function stopListening(server: Server, quiet?: QuietWait): Promise<{ ended: Promise<void> }> {
  const startedAt = performance.now()
  let acceptedAt = startedAt
  const onConnection = () => {
    acceptedAt = performance.now()
  }
  server.on('connection', onConnection)
  if (quiet) {
    const isOver = () => performance.now() - acceptedAt >= quiet.quietMs || performance.now() - startedAt >= quiet.withinMs
    while (!isOver()) await pause(5)
  }
  for (let turns = 0, before = Number.NaN; before !== acceptedAt && turns < maxTurns; turns += 1) {
    before = acceptedAt
    await nextTurn()
  }
  server.off('connection', onConnection)
  return { ended: new Promise((resolve) => NetServer.prototype.close.call(server, () => resolve())) }
}
