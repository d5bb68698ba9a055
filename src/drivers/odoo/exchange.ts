/** One HTTP request to an Odoo server and its JSON, within limits of time and size. Knows nothing of what the JSON means. */
import type { OdooConnection, OdooFailureCode } from '../../domain/odoo/odoo-account/ports.ts'
import type { OutgoingHttp, OutgoingResult } from '../../domain/webhooks/endpoint/ports.ts'
import { PortError } from '../../platform/errors.ts'
import { excessOf } from '../../platform/json-body.ts'
import { parsed } from './parse.ts'

/** Where requests go: to services of this installation, or anywhere the egress guard allows. */
export type Routes = { local: OutgoingHttp; remote: OutgoingHttp }

/** About what 5 MB of records have. The time that an answer takes depends on their number more than on its size. */
const maxAnswerValues = 500_000
/** What is done with an answer recurses. */
const maxAnswerDepth = 1_000

export type Exchange = {
  path: string
  headers?: Record<string, string>
  body: unknown
  /** Whether the request may be sent a second time, because it changes nothing. */
  isRepeatable: boolean
  /** Whether to open a new connection. */
  fresh?: boolean
  /** When the whole operation ends, by `performance.now`. */
  deadline: number
  maxAnswerBytes: number
}

export type Answer = { status: number; json: unknown }

export const fail = (code: OdooFailureCode, message: string, cause?: unknown) =>
  new PortError<OdooFailureCode>(code, message, cause === undefined ? {} : { cause })

/** Sends a request; a second time if it may be repeated and the first one was lost on the way. Throws PortError. */
export async function exchange(routes: Routes, connection: OdooConnection, asked: Exchange): Promise<Answer> {
  const first = await send(routes, connection, asked)
  const wasLost = first.type === 'failure' && (first.errorClass === 'reset' || first.errorClass === 'refused')
  if (wasLost && asked.isRepeatable) return answerOf(connection, asked, await send(routes, connection, asked))
  return answerOf(connection, asked, first)
}

type Sent = OutgoingResult & { wasSent: boolean }

async function send(routes: Routes, { url, isLocal }: OdooConnection, asked: Exchange): Promise<Sent> {
  if (url === null) throw fail('UNREACHABLE', 'The service of the account was deleted.')
  const timeoutMs = Math.ceil(asked.deadline - performance.now())
  if (timeoutMs <= 0) throw fail('TIMEOUT', 'Odoo did not answer in time.')
  let wasSent = false
  try {
    const result = await (isLocal ? routes.local : routes.remote).post({
      url: url + asked.path,
      headers: { 'content-type': 'application/json', accept: 'application/json', ...asked.headers },
      body: Buffer.from(JSON.stringify(asked.body)),
      timeoutMs,
      // One more, to see that there are more.
      maxResponseBytes: asked.maxAnswerBytes + 1,
      once: !asked.isRepeatable,
      fresh: asked.fresh,
      onSend: () => {
        wasSent = true
      },
    })
    return { ...result, wasSent }
  } catch (error) {
    // What this machine lacks, such as a route. Its message may be shown.
    if (error instanceof PortError) throw fail(wasSent ? 'LOST' : 'UNREACHABLE', error.message, error)
    throw error
  }
}

async function answerOf(connection: OdooConnection, { maxAnswerBytes }: Exchange, sent: Sent): Promise<Answer> {
  const host = hostOf(connection)
  if (sent.type === 'failure') {
    if (!sent.wasSent) throw fail('UNREACHABLE', sent.message)
    if (sent.errorClass === 'timeout') throw fail('TIMEOUT', `Odoo at ${host} did not answer in time.`)
    throw fail('LOST', sent.message)
  }
  const { status, headers, body } = sent
  if (body.byteLength > maxAnswerBytes)
    throw fail('TOO_LARGE', `The answer of Odoo is larger than ${maxAnswerBytes} bytes. Ask for fewer records or fields.`)
  const excess = excessOf(body, maxAnswerValues, maxAnswerDepth)
  if (excess === 'values')
    throw fail('TOO_LARGE', `The answer of Odoo has more than ${maxAnswerValues} JSON values. Ask for fewer records or fields.`)
  if (excess === 'depth') throw fail('TOO_LARGE', `The answer of Odoo is nested more than ${maxAnswerDepth} levels deep.`)
  const json = await parsed(body)
  if (json !== undefined) return { status, json }
  if (status >= 300 && status < 400)
    throw fail('NOT_ODOO', `${host} redirects to ${originOf(headers.location)}. Use the address that it leads to.`)
  throw notOdoo(connection, status, 'no JSON')
}

/** Something else than Odoo answered, or Odoo through a proxy that gave up on it. Only if the request was refused is it certain that it had no effect. */
export const notOdoo = (connection: OdooConnection, status: number, what: string) =>
  fail(
    status >= 400 && status < 500 ? 'NOT_ODOO' : 'LOST',
    `${hostOf(connection)} does not answer as Odoo does: it sent status ${status} and ${what}.`,
  )

/** Of a server that was asked. */
const hostOf = ({ url }: OdooConnection): string => new URL(url!).host

const originOf = (location = ''): string => (URL.canParse(location) ? new URL(location).origin : 'another address')
