/** A port that several processes listen on: taken from no stranger, and left without losing who has just come. */
import { writeFile } from 'node:fs/promises'
import type { Server } from 'node:http'
import { connect, Server as NetServer } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'

/** A port that may be shared is taken without an error although a stranger listens there: so it is asked first whether anybody does. */
export function isFree(host: string, port: number): Promise<boolean> {
  if (port === 0) return Promise.resolve(true)
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 1_000 })
    const end = (free: boolean) => {
      socket.destroy()
      resolve(free)
    }
    socket.on('connect', () => end(false))
    socket.on('timeout', () => end(true))
    socket.on('error', () => end(true))
  })
}

/**
 * Takes no further connections; those that stand go on, and idle ones too: a request may be on its way. What the kernel has accepted and
 * nobody has taken up would be reset with the socket, so it is closed in a turn of the event loop in which nobody came (and see `letConnectionsMove`).
 */
export async function stopListening(server: Server): Promise<{ ended: Promise<void> }> {
  let came = true
  const note = () => {
    came = true
  }
  server.on('connection', note)
  for (let turns = 0; came && turns < 1_000; turns += 1) {
    came = false
    await turn()
  }
  server.off('connection', note)
  return { ended: new Promise((resolve) => NetServer.prototype.close.call(server, () => resolve())) }
}

/**
 * Lets the kernel give the connections that wait at a socket to another one on the same port when that socket is closed (Linux 5.14); it
 * resets them otherwise. Needs root; without it a connection that comes in the very moment of a restart may be lost.
 */
export async function letConnectionsMove(): Promise<void> {
  if (process.platform === 'linux') await writeFile('/proc/sys/net/ipv4/tcp_migrate_req', '1').catch(() => {})
}
