/**
 * Receives reports about mail over SMTP. It accepts mail for the addresses of its handler only, and keeps little of it, whoever sends how much:
 * the number of connections, their duration, the recipients and the kept part of a mail are limited. The server is loaded when it is opened.
 */
import type { AddressInfo, Server, Socket } from 'node:net'
import type { Readable } from 'node:stream'
import type { InboundMail } from '../../domain/access/mail/ports.ts'

export type MailReceiver = { port: number; close(): Promise<void> }

type ReceiverOptions = {
  host: string
  port: number
  /** Name of this server in its greeting. */
  name: string
  handler: InboundMail
  onError(error: unknown): void
  maxConnections?: number
  idleMs?: number
  /** Maximum duration of a connection. */
  connectionMs?: number
}

/** Largest mail. A report may contain the mail that it is about. */
const maxBytes = 32 * 1024 * 1024
/** What is kept of a mail. A report comes before the mail that it is about. */
const keptBytes = 256 * 1024
const maxRecipients = 10

const refusal = (responseCode: number, text: string) => Object.assign(new Error(text), { responseCode })
const notNow = () => refusal(451, '4.3.0 Temporarily unavailable. Try again later')

/** Resolves when the port is open. Throws the error of `listen`. */
export async function openMailReceiver(options: ReceiverOptions): Promise<MailReceiver> {
  const { SMTPServer } = await import('smtp-server')
  const { handler, onError } = options
  const smtp = new SMTPServer({
    name: options.name,
    size: maxBytes,
    maxClients: options.maxConnections ?? 50,
    socketTimeout: options.idleMs ?? 30_000,
    closeTimeout: 1_000,
    authOptional: true,
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    onRcptTo({ address }, { envelope }, done) {
      if (envelope.rcptTo.length >= maxRecipients) return done(refusal(452, '4.5.3 Too many recipients'))
      handler.accepts(address).then(
        (isAccepted) => done(isAccepted ? null : refusal(550, '5.1.1 No such address')),
        (error: unknown) => {
          onError(error)
          done(notNow())
        },
      )
    },
    onData(stream, { envelope }, done) {
      const to = envelope.rcptTo.map(({ address }) => address)
      keep(stream)
        .then((raw) => (stream.sizeExceeded ? Promise.reject(refusal(552, '5.3.4 Message too large')) : handler.receive(to, raw)))
        .then(
          (end) => done(end === 'later' ? notNow() : null),
          (error: unknown) => {
            if (error instanceof Error && 'responseCode' in error) return done(error)
            onError(error)
            done(notNow())
          },
        )
    },
  })
  // Errors of single connections, which the other side causes.
  smtp.on('error', () => {})
  const server = smtp.server as Server
  server.on('connection', (socket: Socket) => {
    const limit = setTimeout(() => socket.destroy(), options.connectionMs ?? 5 * 60_000)
    socket.once('close', () => clearTimeout(limit))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    smtp.listen(options.port, options.host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  return {
    port: (server.address() as AddressInfo).port,
    close: () => new Promise((resolve) => smtp.close(() => resolve())),
  }
}

/** Reads a stream to its end and returns its beginning. */
async function keep(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    if (size < keptBytes) chunks.push(chunk.subarray(0, keptBytes - size))
    size += chunk.length
  }
  return Buffer.concat(chunks)
}
