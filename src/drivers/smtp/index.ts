/**
 * Sends mail over one SMTP server with pooled connections. The mail client is loaded with the first mail. The pool opens and closes connections
 * by itself; it does not retry, since the queue does.
 */
import type { MailTransport, OutgoingMail, RecipientAnswer, SendResult } from '../../domain/access/mail/ports.ts'
import { PortError } from '../../platform/errors.ts'
import type { Secret } from '../../platform/settings.ts'

export type SmtpTransport = MailTransport & { close(): void }

type SmtpOptions = {
  url: Secret
  maxConnections: number
  /** Timeouts in milliseconds: connecting, each answer, and the whole attempt, for a server that answers but never finishes. */
  timeouts?: { connectMs: number; answerMs: number; attemptMs: number }
}

/** An error of the client, with the answer of the server if there was one. */
type ClientError = Error & {
  code?: string
  response?: string
  responseCode?: number
  recipient?: string
  rejectedErrors?: ClientError[]
}

const usual = { connectMs: 10_000, answerMs: 60_000, attemptMs: 5 * 60_000 }

/** Reply codes that say that the service is not available. They say nothing of the mail. */
const serviceCodes = [421, 454, 530, 534, 535, 538]

export function createSmtpTransport({ url, maxConnections, timeouts = usual }: SmtpOptions): SmtpTransport {
  const load = async () => {
    const { createTransport } = await import('nodemailer')
    return createTransport({
      url: url.reveal(),
      pool: true,
      maxConnections,
      // One, for a pooled connection that the server closed while it was idle.
      maxRequeues: 1,
      idleTimeout: 30_000,
      connectionTimeout: timeouts.connectMs,
      greetingTimeout: timeouts.connectMs,
      dnsTimeout: timeouts.connectMs,
      socketTimeout: timeouts.answerMs,
      disableFileAccess: true,
      disableUrlAccess: true,
    })
  }
  let client: ReturnType<typeof load> | undefined

  return {
    async send({ from, to, raw, reportId }, signal) {
      client ??= load()
      const attempt = limited(signal, timeouts.attemptMs)
      const dsn = reportId === null ? {} : { dsn: { ret: 'HDRS', envid: reportId, notify: ['SUCCESS', 'FAILURE', 'DELAY'] } }
      const mail = { envelope: { from, to: [...to] }, raw, signal: attempt.signal, ...dsn }
      try {
        const info = await (await client).sendMail(mail)
        const { ehlo = [], response, rejectedErrors = [] } = info as { ehlo?: string[]; response: string; rejectedErrors?: ClientError[] }
        const accepted = { answer: 'accepted', whole: false, code: codeOf(response), text: response } as const
        return { recipients: answersOf(to, rejectedErrors, accepted), reports: ehlo.some((line) => /^DSN\b/i.test(line)) }
      } catch (error) {
        signal.throwIfAborted()
        if (attempt.signal.aborted) throw unreachable('The SMTP server did not finish in time.', error)
        return resultOf(to, error as ClientError)
      } finally {
        attempt.end()
      }
    },
    close() {
      void client?.then((pool) => pool.close())
    },
  }
}

/** A signal that aborts with another one, or after a time. `end` releases the timer, of which there would otherwise be one for each mail sent. */
function limited(signal: AbortSignal, ms: number): { signal: AbortSignal; end(): void } {
  const own = new AbortController()
  const stop = () => own.abort(signal.reason)
  if (signal.aborted) stop()
  else signal.addEventListener('abort', stop, { once: true })
  const timer = setTimeout(() => own.abort(new Error('The attempt took too long.')), ms)
  const end = () => {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
  }
  return { signal: own.signal, end }
}

/** What an error means for each recipient. Throws PortError if it says nothing of the mail. */
function resultOf(to: OutgoingMail['to'], error: ClientError): SendResult {
  const { responseCode, response = error.message, rejectedErrors = [] } = error
  const isTooLarge = error.code === 'EMESSAGE' && responseCode === undefined
  const isAnswer = (error.code === 'EENVELOPE' || error.code === 'EMESSAGE') && responseCode !== undefined && responseCode >= 400
  if (isTooLarge)
    return { recipients: answersOf(to, [], { answer: 'refused', whole: true, code: '552', text: error.message }), reports: false }
  if (!isAnswer || serviceCodes.includes(responseCode)) throw unreachable(textOf(error), error)
  const whole = { answer: answerOf(responseCode), whole: true, code: String(responseCode), text: response } as const
  return { recipients: answersOf(to, rejectedErrors, whole), reports: false }
}

/** The answer for each recipient: its own refusal, or else the answer for the mail. */
function answersOf(to: OutgoingMail['to'], refusals: readonly ClientError[], answer: Omit<RecipientAnswer, 'address'>): RecipientAnswer[] {
  const byRecipient = new Map(refusals.map((refusal) => [refusal.recipient?.toLowerCase(), refusal]))
  return to.map((address) => {
    const refusal = byRecipient.get(address.toLowerCase())
    if (!refusal) return { address, ...answer }
    const { responseCode = 450, response = refusal.message } = refusal
    return { address, answer: answerOf(responseCode), whole: false, code: String(responseCode), text: response }
  })
}

/** 503 is about the order of commands, so the same mail may be accepted over another connection. */
const answerOf = (code: number) => (code >= 500 && code !== 503 ? 'refused' : 'deferred')

const codeOf = (response: string) => /^\d{3}/.exec(response)?.[0] ?? null

const texts: Record<string, string> = {
  EAUTH: 'The SMTP server refused the login.',
  ENOAUTH: 'The SMTP server requires a login.',
  EDNS: 'The name of the SMTP server could not be resolved.',
  ETLS: 'The SMTP server could not be reached over TLS.',
  EPROTOCOL: 'The SMTP server gave an invalid answer.',
  ETIMEDOUT: 'The SMTP server did not answer in time.',
}

const textOf = ({ code, responseCode }: ClientError): string =>
  texts[code ?? ''] ??
  (responseCode ? `The SMTP server is not available: it answered ${responseCode}.` : 'The SMTP server could not be reached.')

const unreachable = (text: string, cause: unknown) => new PortError('UNREACHABLE', text, { cause })
