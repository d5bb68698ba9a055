/**
 * A Svix server as the one that delivers webhooks, by its own client. One application a endpoint, both with our id as `uid`: the
 * server knows neither our projects nor our conditions on payloads, so what it is given is what it is to send.
 */
import { Svix } from 'svix'
import type { DispatchedMessage, Dispatcher, DispatchResult, MirroredEndpoint } from '../../domain/webhooks/endpoint/ports.ts'

export type SvixOptions = { serverUrl: string; token: string; requestTimeoutMs?: number }

/** An answer that is no success. The domain tells by `status`, `detail` and `isFinal` what becomes of a delivery. */
class SvixError extends Error {
  override readonly name = 'SvixError'
  readonly status: number
  /** What the server says of it. */
  readonly detail: string

  constructor(status: number, body: string) {
    const detail = detailOf(body)
    super(`The Svix server answered ${status}: ${detail}`)
    this.status = status
    this.detail = detail
  }

  /** Whether the same will never be taken: not where the answer speaks of now (a wrong token, a race, too much) or of a server in trouble. */
  get isFinal(): boolean {
    return this.status < 500 && ![401, 403, 408, 409, 429].includes(this.status)
  }
}

export function createSvixDispatcher({ serverUrl, token, requestTimeoutMs = 10_000 }: SvixOptions): Dispatcher {
  const client = new Svix(token, {
    serverUrl: serverUrl.replace(/\/+$/, ''),
    requestTimeout: requestTimeoutMs,
    // Retries are the queue's: an empty schedule, since the client takes `numRetries: 0` for its default of two.
    retryScheduleInMs: [],
    fetch: fetchAnswer,
  })

  /** Null where there is none. */
  const unlessMissing = async <T>(ask: Promise<T>): Promise<T | null> => {
    try {
      return await ask
    } catch (error) {
      if (error instanceof SvixError && error.status === 404) return null
      throw error
    }
  }

  const create = (endpoint: MirroredEndpoint) =>
    client.endpoint.create(endpoint.id, { uid: endpoint.id, secret: endpoint.secret, ...shared(endpoint) })

  return {
    url: serverUrl,

    async mirror(endpoint) {
      await client.application.getOrCreate({ uid: endpoint.id, name: endpoint.description || endpoint.id })
      const known = await unlessMissing(client.endpoint.getSecret(endpoint.id, endpoint.id))
      if (known === null) await create(endpoint)
      else {
        await client.endpoint.upsert(endpoint.id, endpoint.id, shared(endpoint))
        const grace = endpoint.formerKeysSign ? {} : { gracePeriodSeconds: 0 }
        if (known.key !== endpoint.secret) await client.endpoint.rotateSecret(endpoint.id, endpoint.id, { key: endpoint.secret, ...grace })
      }
      // The open-source server ignores headers that are given with the endpoint.
      await client.endpoint.setHeaders(endpoint.id, endpoint.id, { headers: endpoint.headers })
    },

    async remove(endpointId) {
      await unlessMissing(client.application.delete(endpointId))
    },

    async dispatch({ endpointId, messageId, eventType, payload }: DispatchedMessage): Promise<DispatchResult> {
      try {
        await client.message.create(endpointId, { eventId: messageId, eventType, payload: exactly(payload) }, { idempotencyKey: messageId })
        return { type: 'accepted', repeated: false, status: 202 }
      } catch (error) {
        if (!(error instanceof SvixError)) throw error
        // It has this id already: the answer to the first request was lost on its way.
        if (error.status === 409) return { type: 'accepted', repeated: true, status: 409 }
        if (!error.isFinal) throw error
        return { type: 'refused', status: error.status, message: error.detail }
      }
    },

    async declareTypes(types) {
      for (const { name, description, schemas, deprecated } of types) {
        await client.eventType.upsert(name, { description, schemas, deprecated })
      }
    },
  }
}

/** The client takes an object and prints it: numbers as they stand in the text, since a double holds no integer of 64 bits. */
const exactly = (json: string): unknown =>
  sourceJson.parse(json, (_name, value, { source }) => (typeof value === 'number' ? sourceJson.rawJSON(source) : value))

/** The compiler's library knows neither of these yet. */
const sourceJson = JSON as unknown as {
  parse(text: string, revive: (name: string, value: unknown, context: { source: string }) => unknown): unknown
  rawJSON(text: string): unknown
}

const shared = ({ url, description, rateLimitPerSecond }: MirroredEndpoint) => ({
  url,
  description: description ?? '',
  throttleRate: rateLimitPerSecond,
})

/** The client would read any answer of 4xx as JSON, which one of a proxy before the server is not. */
const fetchAnswer: typeof fetch = async (input, init) => {
  const response = await fetch(input, init)
  if (response.status < 300) return response
  throw new SvixError(response.status, await response.text())
}

function detailOf(body: string): string {
  try {
    const { code, detail } = JSON.parse(body) as { code?: unknown; detail?: unknown }
    if (typeof detail === 'string') return detail
    return JSON.stringify(detail ?? code ?? null)
  } catch {
    return body.slice(0, 500)
  }
}
