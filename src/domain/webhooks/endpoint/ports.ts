/** What webhooks need from outside: outgoing HTTP through the egress guard, GraphQL selections and, optionally, a Svix server. */
import { definePort } from '../../../platform/port.ts'

export type HttpErrorClass = 'dns' | 'refused' | 'timeout' | 'tls' | 'reset' | 'http' | 'blocked'

export type OutgoingRequest = {
  url: string
  headers: Record<string, string>
  body: Uint8Array
  /** Total, for name, connection, headers and body together. */
  timeoutMs: number
  /** At most this much of the answer's body is read; the rest is thrown away. */
  maxResponseBytes: number
  /** Gives the request up; `post` then rejects with its reason. Whether the other side got it is unknown once `onSend` was called. */
  signal?: AbortSignal
  /** On a connection of its own. Without it, a kept one that the other side drops before any byte of an answer is replaced, and the request sent again. */
  fresh?: boolean
  /** Called before the first byte of the request may reach the other side; until then nothing can have arrived. */
  onSend?: () => void
}

export type OutgoingResult =
  | { type: 'response'; status: number; headers: Record<string, string>; body: Uint8Array; durationMs: number }
  | { type: 'failure'; errorClass: Exclude<HttpErrorClass, 'http'>; message: string; durationMs: number }

/** Faults of our own side, which the receiver can do nothing about. */
export type OutgoingFaultCode = 'NO_ROUTE' | 'RESOLVER' | 'PROXY' | 'LOCAL'

/**
 * Sends one request. Never follows a redirect, never throws for what the other side does; for a fault of our own it rejects with a
 * PortError, whose code is an OutgoingFaultCode and whose text anybody may read. Addresses are checked before a socket opens.
 */
export interface OutgoingHttp {
  /** Judges a URL when an endpoint is saved, resolving its name; null when allowed, else the reason and the setting that would allow it. */
  check(url: string): Promise<string | null>
  post(request: OutgoingRequest): Promise<OutgoingResult>
  close(): Promise<void>
}

export const outgoingHttp = definePort<OutgoingHttp>('outgoing HTTP')

/** With what rights an endpoint's selection is run: those that its author had, within its organization and project. */
export type SelectionRights = { organizationId: string; projectId: string | null; permissions: readonly string[] }

export type SelectionRequest = {
  /** A selection set with its braces, on the event's subject: `{ id ... on Deployment { status } }`. */
  selection: string
  rights: SelectionRights
}

/** GraphQL selections on an event's subject, which is a node of the schema. */
export interface Selection {
  /** Judges a selection for subjects of these types by schema, size, cost and rights; null when it can be run, else the reason. */
  check(request: SelectionRequest & { subjectTypes: readonly string[] }): string | null
  /** Plain JSON; null when the subject is gone or no node. Throws when it can't be run at present. */
  run(request: SelectionRequest & { subjectType: string; subjectId: string }): Promise<unknown>
}

export const selectionPort = definePort<Selection>('selection')

export type MirroredEndpoint = {
  /** TypeID. */
  id: string
  url: string
  description: string | null
  /** `whsec_…` or `whsk_…`; its newest key. */
  secret: string
  /** Whether former keys still sign. */
  formerKeysSign: boolean
  headers: Record<string, string>
  rateLimitPerSecond: number | null
}

export type DispatchedMessage = {
  /** TypeIDs. */
  endpointId: string
  messageId: string
  eventType: string
  /** JSON text. */
  payload: string
}

export type DispatchResult =
  /** `repeated`: it had been accepted before. */
  | { type: 'accepted'; repeated: boolean; status: number }
  /** It never will be. */
  | { type: 'refused'; status: number; message: string }

/**
 * A server that delivers in our stead. Every method throws when it can't be reached or has no answer for now: ask again later. An
 * error that stands for an answer has `status`, `detail` and `isFinal` (the same will never be taken).
 */
export interface Dispatcher {
  /** Its address, for people to read. */
  readonly url: string
  /** Makes or updates the other side's picture of an endpoint. */
  mirror(endpoint: MirroredEndpoint): Promise<void>
  /** Takes it away; nothing when it is gone. */
  forget(endpointId: string): Promise<void>
  /** Accepts a message once, however often it is given. */
  dispatch(message: DispatchedMessage): Promise<DispatchResult>
  /** Tells of event types with the JSON Schemas of their data, by version. */
  declareTypes(
    types: readonly { name: string; description: string; schemas: Record<string, unknown>; deprecated: boolean }[],
  ): Promise<void>
}

/** Provided only with WEBHOOK_ENGINE=svix. */
export const dispatcherPort = definePort<Dispatcher>('webhook dispatcher', { isOptional: true })
