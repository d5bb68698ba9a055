/**
 * A TCP proxy in front of a real PostgreSQL. A test uses it to make the database unavailable (connections are refused, silent as on a
 * dead network, or cut) and available again. It counts open connections.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

export type DatabaseProxy = {
  /** URL of the database through the proxy. */
  url: string
  /** Refuses new connections and closes existing ones. */
  refuse(): Promise<void>
  /** Forwards nothing in either direction. Connections are accepted and stay open. */
  silence(): void
  /** Forwards nothing on existing connections. New ones work. */
  freeze(): void
  /** Forwards requests but drops the responses. */
  loseAnswers(): void
  /** Closes existing connections. */
  cut(): void
  /** Forwards everything again. Connections that were silent or frozen are closed. */
  restore(): Promise<void>
  /** Number of open client connections, and of all connections so far. */
  open(): number
  accepted(): number
  close(): Promise<void>
}

type Pair = { client: Socket; server: Socket | null }

export async function createDatabaseProxy(databaseUrl: string): Promise<DatabaseProxy> {
  const target = new URL(databaseUrl)
  const folder = target.searchParams.get('host')
  const port = Number(target.port || 5432)
  const pairs = new Set<Pair>()
  let isSilent = false
  let accepted = 0

  const take = (client: Socket) => {
    accepted++
    const pair: Pair = { client, server: null }
    pairs.add(pair)
    const end = () => {
      pairs.delete(pair)
      client.destroy()
      pair.server?.destroy()
    }
    client.on('error', end).on('close', end)
    if (isSilent) return void client.resume()
    const server = folder ? connect(`${folder}/.s.PGSQL.${port}`) : connect(port, target.hostname)
    pair.server = server
    server.on('error', end).on('close', end)
    client.pipe(server)
    server.pipe(client)
  }
  const still = ({ client, server }: Pair) => {
    if (!server) return
    client.unpipe(server)
    server.unpipe(client)
    // Data is read and dropped, so that the end of the connection is noticed.
    client.resume()
    server.resume()
  }
  const cut = () => {
    for (const { client, server } of pairs) {
      client.destroy()
      server?.destroy()
    }
  }

  let listening: Server | null = null
  const listen = async (at: number) => {
    listening = createServer(take)
    listening.listen(at, '127.0.0.1')
    await once(listening, 'listening')
    return (listening.address() as AddressInfo).port
  }
  const stopListening = async () => {
    const server = listening
    listening = null
    if (!server) return
    server.close()
    cut()
    await once(server, 'close')
  }
  const own = await listen(0)

  const url = new URL(databaseUrl)
  url.searchParams.delete('host')
  url.hostname = '127.0.0.1'
  url.port = String(own)
  return {
    url: url.href,
    refuse: stopListening,
    silence() {
      isSilent = true
      for (const pair of pairs) still(pair)
    },
    freeze() {
      for (const pair of pairs) still(pair)
    },
    loseAnswers() {
      for (const { client, server } of pairs) {
        server?.unpipe(client)
        server?.resume()
      }
    },
    cut,
    async restore() {
      if (isSilent) cut()
      isSilent = false
      if (!listening) await listen(own)
    },
    open: () => pairs.size,
    accepted: () => accepted,
    close: stopListening,
  }
}
