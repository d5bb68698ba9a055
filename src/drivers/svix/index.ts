/**
 * Delivers webhooks through a Svix server, with its own client. Each endpoint has its own application, both with the endpoint's ID as
 * `uid`: the server knows neither projects nor filters, so it must send every message that it receives.
 */
import { Svix } from 'svix'
import type { DispatchedMessage, Dispatcher, DispatchResult, MirroredEndpoint } from '../../domain/webhooks/endpoint/ports.ts'

export type SvixOptions = { serverUrl: string; token: string; requestTimeoutMs?: number }

/** An error response. The domain decides by `status`, `detail` and `isFinal` how the delivery continues. */
class SvixError extends Error {
  override readonly name = 'SvixError'
  readonly status: number
  /** The reason that the server returned. */
  readonly detail: string

  constructor(status: number, body: string) {
    const detail = detailOf(body)
    super(`The Svix server answered ${status}: ${detail}`)
    this.status = status
    this.detail = detail
  }

  /** Whether the same request will never be accepted. False for temporary conditions: a wrong token, a conflict, a rate limit or a server error. */
  get isFinal(): boolean {
    return this.status < 500 && ![401, 403, 408, 409, 429].includes(this.status)
  }
}

export function createSvixDispatcher({ serverUrl, token, requestTimeoutMs = 10_000 }: SvixOptions): Dispatcher {
  const client = new Svix(token, {
    serverUrl: serverUrl.replace(/\/+$/, ''),
    requestTimeout: requestTimeoutMs,
    // The queue retries. An empty schedule, because the client treats `numRetries: 0` as its default of two.
    retryScheduleInMs: [],
    fetch: fetchOrThrow,
  })

  /** Resolves to null if the object does not exist. */
  const unlessMissing = async <T>(response: Promise<T>): Promise<T | null> => {
    try {
      return await response
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
      // The open-source server ignores headers passed with the endpoint.
      await client.endpoint.setHeaders(endpoint.id, endpoint.id, { headers: endpoint.headers })
    },

    async remove(endpointId) {
      await unlessMissing(client.application.delete(endpointId))
    },

    async dispatch({ endpointId, messageId, eventType, payload }: DispatchedMessage): Promise<DispatchResult> {
      try {
        await client.message.create(
          endpointId,
          { eventId: messageId, eventType, payload: withExactNumbers(payload) },
          { idempotencyKey: messageId },
        )
        return { type: 'accepted', repeated: false, status: 202 }
      } catch (error) {
        if (!(error instanceof SvixError)) throw error
        // The message exists already: the response to an earlier request was lost.
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

/** Parses JSON for the client, which serializes it again. Numbers keep their text, because a double cannot hold 64-bit integers. */
const withExactNumbers = (json: string): unknown =>
  sourceJson.parse(json, (_name, value, { source }) => (typeof value === 'number' ? sourceJson.rawJSON(source) : value))

/** TypeScript's library does not declare these yet. */
const sourceJson = JSON as unknown as {
  parse(text: string, revive: (name: string, value: unknown, context: { source: string }) => unknown): unknown
  rawJSON(text: string): unknown
}

const shared = ({ url, description, rateLimitPerSecond }: MirroredEndpoint) => ({
  url,
  description: description ?? '',
  throttleRate: rateLimitPerSecond,
})

/** The client would parse any 4xx response as JSON, but that of a proxy in front of the server is not JSON. */
const fetchOrThrow: typeof fetch = async (input, init) => {
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
