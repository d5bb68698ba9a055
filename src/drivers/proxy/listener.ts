/** A port of the router, and the server that listens on it. */
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isFree, letConnectionsMove } from '../../platform/shared-port.ts'

export type Listener = {
  readonly port: number
  /** Null unless it is listening. */
  readonly server: Server | null
  /** False if another program has the port. `shared`: another process of this installation may have it, too. */
  listen(port: number, options: { shared: boolean }): Promise<boolean>
  /** Must be called when the server is closed. */
  ended(): void
}

/** `listen` throws Node's error for any failure other than a port in use, such as EACCES. */
export function createListener(options: { host: string; port: number; create: () => Server }): Listener {
  let port = options.port
  let server: Server | null = null
  return {
    get port() {
      return port
    },
    get server() {
      return server
    },
    async listen(wanted, { shared }) {
      port = wanted
      if (!shared && !(await isFree(options.host, port))) return false
      await letConnectionsMove()
      const listening = options.create()
      const held = await new Promise<boolean>((resolve, reject) => {
        listening.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(false) : reject(error)))
        // On Linux, several processes of the installation can listen, so that one can stop without losing a request.
        listening.listen({ host: options.host, port, reusePort: process.platform === 'linux' }, () => resolve(true))
      })
      if (!held) return false
      // Accepting failed, for example without a free file descriptor: that connection is lost, later ones are not.
      listening.on('error', () => {})
      port = (listening.address() as AddressInfo).port
      server = listening
      return true
    },
    ended() {
      server = null
    },
  }
}
