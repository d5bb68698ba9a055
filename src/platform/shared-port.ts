/** A port that the processes of one installation share. */
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'

/** Whether nothing accepts connections on a port. Listening with `reusePort` does not fail when another program that also uses it has the port. */
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
 * Lets the kernel move connections that a closing socket has not accepted to another socket on the same port, instead of resetting them
 * (Linux 5.14). Requires root; without it, a connection made at the very moment of a restart may be lost.
 */
export async function letConnectionsMove(): Promise<void> {
  if (process.platform === 'linux') await writeFile('/proc/sys/net/ipv4/tcp_migrate_req', '1').catch(() => {})
}
