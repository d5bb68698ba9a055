/**
 * A Svix server as the one that delivers webhooks, by its own client. One application a endpoint, both with our id as `uid`: the
 * server knows neither our projects nor our conditions on payloads, so what it is given is what it is to send.
 */
import { ApiException, Svix } from 'svix'
import type { DispatchedMessage, Dispatcher, DispatchResult, MirroredEndpoint } from '../../domain/webhooks/endpoint/ports.ts'

export type SvixOptions = { serverUrl: string; token: string; requestTimeoutMs?: number }

/** Statuses that speak of now, not of what was asked: too many requests, a wrong token, a server in trouble. */
const isForNow = (status: number) => status === 401 || status === 403 || status === 408 || status === 429 || status >= 500

export function createSvixDispatcher({ serverUrl, token, requestTimeoutMs = 10_000 }: SvixOptions): Dispatcher {
  // Retries are the queue's: an empty schedule, since the client takes `numRetries: 0` for its default of two.
  const client = new Svix(token, { serverUrl: serverUrl.replace(/\/+$/, ''), requestTimeout: requestTimeoutMs, retryScheduleInMs: [] })

  /** Null where there is none. */
  const unlessMissing = async <T>(ask: Promise<T>): Promise<T | null> => {
    try {
      return await ask
    } catch (error) {
      if (error instanceof ApiException && error.code === 404) return null
      throw readable(error)
    }
  }

  const create = (endpoint: MirroredEndpoint) =>
    client.endpoint.create(endpoint.id, { uid: endpoint.id, secret: endpoint.secret, ...shared(endpoint) })

  return {
    url: serverUrl,

    async mirror(endpoint) {
      try {
        await client.application.getOrCreate({ uid: endpoint.id, name: endpoint.description || endpoint.id })
        const known = await unlessMissing(client.endpoint.getSecret(endpoint.id, endpoint.id))
        if (known === null) await create(endpoint)
        else {
          await client.endpoint.upsert(endpoint.id, endpoint.id, shared(endpoint))
          if (known.key !== endpoint.secret) await client.endpoint.rotateSecret(endpoint.id, endpoint.id, { key: endpoint.secret })
        }
        // The open-source server ignores headers that are given with the endpoint.
        await client.endpoint.setHeaders(endpoint.id, endpoint.id, { headers: endpoint.headers })
      } catch (error) {
        throw readable(error)
      }
    },

    async forget(endpointId) {
      await unlessMissing(client.application.delete(endpointId))
    },

    async dispatch({ endpointId, messageId, eventType, payload }: DispatchedMessage): Promise<DispatchResult> {
      try {
        await client.message.create(
          endpointId,
          { eventId: messageId, eventType, payload: JSON.parse(payload) as unknown },
          { idempotencyKey: messageId },
        )
        return { type: 'accepted', repeated: false, status: 202 }
      } catch (error) {
        if (!(error instanceof ApiException)) throw error
        // It has this id already: the answer to the first request was lost on its way.
        if (error.code === 409) return { type: 'accepted', repeated: true, status: 409 }
        if (isForNow(error.code)) throw readable(error)
        return { type: 'refused', status: error.code, message: textOf(error) }
      }
    },

    async declareTypes(types) {
      for (const { name, description, schemas, deprecated } of types) {
        try {
          await client.eventType.upsert(name, { description, schemas, deprecated })
        } catch (error) {
          throw readable(error)
        }
      }
    },
  }
}

const shared = ({ url, description, rateLimitPerSecond }: MirroredEndpoint) => ({
  url,
  description: description ?? '',
  throttleRate: rateLimitPerSecond,
})

/** The client's error says nothing of what the server answered. */
const readable = (error: unknown): unknown =>
  error instanceof ApiException ? new Error(`The Svix server answered ${error.code}: ${textOf(error)}`, { cause: error }) : error

function textOf(error: ApiException<unknown>): string {
  const body = typeof error.body === 'string' ? error.body : JSON.stringify(error.body ?? null)
  try {
    const { code, detail } = JSON.parse(body) as { code?: unknown; detail?: unknown }
    if (typeof detail === 'string') return detail
    return JSON.stringify(detail ?? code ?? null)
  } catch {
    return body.slice(0, 500)
  }
}
