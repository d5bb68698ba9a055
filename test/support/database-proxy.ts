/**
 * A TCP proxy before a real PostgreSQL, by which a test takes the database away and gives it back: refused, silent as behind a dead
 * network, or cut. It counts what is open.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

export type DatabaseProxy = {
  /** The database's URL by way of the proxy. */
  url: string
  /** Connections are refused, and those that there are end. */
  refuse(): Promise<void>
  /** Nothing goes through any more, in either direction; connections are accepted and stay open. */
  silence(): void
  /** Connections that there are carry nothing any more; new ones do. */
  freeze(): void
  /** What is asked is done, but its answers get lost. */
  loseAnswers(): void
  /** Connections that there are end, without a word. */
  cut(): void
  /** All is well again. What was silent or frozen ends. */
  restore(): Promise<void>
  /** Connections of clients at present, and all that ever were. */
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
    // Read, so that an end is noticed; it goes nowhere.
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
