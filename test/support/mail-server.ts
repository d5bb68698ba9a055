/** A real SMTP server for tests. What it answers can be scripted for each recipient and mail. */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'
import { until } from './wait.ts'

export type ReceivedMail = { from: string; to: string[]; raw: string }

/** An answer other than success, such as `[550, '5.1.1 No such user']`. */
export type Refusal = readonly [code: number, text: string]

export type MailServer = {
  port: number
  url: string
  received: ReceivedMail[]
  /** Number of connections so far. */
  readonly connections: number
  /** Answers for recipients by address, until they are removed. */
  refused: Map<string, Refusal>
  /** Answer for the content of mails. Null: accepted. */
  answer: Refusal | null
  /** Waits until this number of mails was received. */
  receive(count: number): Promise<ReceivedMail[]>
  close(): Promise<void>
}

const refusal = ([responseCode, text]: Refusal) => Object.assign(new Error(text), { responseCode })

/** Listens on a free port, or on a given one. */
export async function openMailServer({ port = 0, ...options }: SMTPServerOptions & { port?: number } = {}): Promise<MailServer> {
  let connections = 0
  const server = new SMTPServer({
    authOptional: true,
    closeTimeout: 100,
    disabledCommands: options.secure || options.onAuth ? [] : ['STARTTLS'],
    onConnect(_session, done) {
      connections++
      done()
    },
    onRcptTo({ address }, _session, done) {
      const found = mailServer.refused.get(address)
      done(found ? refusal(found) : null)
    },
    onData(stream, { envelope }, done) {
      buffer(stream).then((bytes) => {
        if (mailServer.answer) return done(refusal(mailServer.answer))
        const from = envelope.mailFrom ? envelope.mailFrom.address : ''
        mailServer.received.push({ from, to: envelope.rcptTo.map(({ address }) => address), raw: bytes.toString() })
        done()
      }, done)
    },
    ...options,
  })
  // Clients of tests break off on purpose.
  server.on('error', () => {})
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const listening = (server.server.address() as AddressInfo).port
  const mailServer: MailServer = {
    port: listening,
    url: `${options.secure ? 'smtps' : 'smtp'}://127.0.0.1:${listening}`,
    received: [],
    get connections() {
      return connections
    },
    refused: new Map(),
    answer: null,
    receive: async (count) => {
      await until(`${count} mails`, () => mailServer.received.length >= count)
      return mailServer.received
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
  return mailServer
}

/** A TCP server that does what `serve` says with each connection. */
export async function openTcpServer(serve: (socket: Socket) => void): Promise<{ url: string; close(): Promise<void> }> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    serve(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}
