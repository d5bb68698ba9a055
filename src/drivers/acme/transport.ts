/**
 * Sends the requests of acme-client through the outgoing HTTP of Quayside, which checks addresses and limits time and size. acme-client has one
 * HTTP client for all its instances, so the call that a request belongs to is found by the asynchronous context.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { axios as AcmeAxios } from 'acme-client'
import type { OutgoingHttp } from '../../domain/webhooks/endpoint/ports.ts'
import { PortError } from '../../platform/errors.ts'

/** An answer with a status of 400 or more (RFC 7807). */
export type Problem = { status: number; type: string; detail: string }

/** One call of the driver. */
export type Call = {
  http: Pick<OutgoingHttp, 'get' | 'post'>
  signal: AbortSignal
  /** Of the last answer; null unless it was an error. */
  problem: Problem | null
  /** What the last answer asks to wait; null if it does not. */
  retryAfterMs: number | null
}

/** The authority could not be reached, or sent no complete answer. The message can be shown to users. */
export class Unreachable extends Error {}

type Adapter = Exclude<NonNullable<(typeof AcmeAxios)['defaults']['adapter']>, string | unknown[]>

const calls = new AsyncLocalStorage<Call>()
const requestTimeoutMs = 30_000
const maxResponseBytes = 1024 * 1024

export const withinCall = <T>(call: Call, run: () => Promise<T>): Promise<T> => calls.run(call, run)

export const adapter: Adapter = async (config) => {
  const call = calls.getStore()
  if (!call) throw new Error('a request of acme-client belongs to no call')
  call.problem = null
  call.retryAfterMs = null
  const { status, headers, body } = await send(call, config)
  const text = Buffer.from(body).toString('utf8')
  call.retryAfterMs = retryAfterOf(headers['retry-after'])
  if (status >= 400) call.problem = problemOf(status, text)
  return { status, statusText: '', headers, data: text, config, request: null }
}

async function send({ http, signal }: Call, config: Parameters<Adapter>[0]) {
  const request = {
    url: config.url ?? '',
    headers: { Accept: '*/*', 'User-Agent': 'Quayside', 'Content-Type': 'application/jose+json' },
    ...{ timeoutMs: requestTimeoutMs, maxResponseBytes, signal },
  }
  try {
    // acme-client asks for nonces by HEAD. GET has the same effect (RFC 8555, section 7.2).
    const sent = config.method === 'post' ? http.post({ ...request, body: Buffer.from(String(config.data ?? '')) }) : http.get(request)
    const result = await sent
    if (result.type === 'response') return result
    throw new Unreachable(result.message)
  } catch (error) {
    if (error instanceof PortError) throw new Unreachable(error.message, { cause: error })
    throw error
  }
}

function problemOf(status: number, text: string): Problem {
  try {
    const { type, detail } = JSON.parse(text) as { type?: unknown; detail?: unknown }
    return { status, type: String(type ?? ''), detail: String(detail ?? '') }
  } catch {
    return { status, type: '', detail: '' }
  }
}

/** Seconds, or a date (RFC 9110, section 10.2.3). */
function retryAfterOf(header: string | undefined): number | null {
  if (header === undefined) return null
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - Date.now()
  return ms > 0 ? ms : null
}
