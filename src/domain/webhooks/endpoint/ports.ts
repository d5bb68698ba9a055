/** Ports of webhooks: outgoing HTTP through the egress guard, GraphQL selections and, optionally, a Svix server. */
import { definePort } from '../../../platform/port.ts'

export type HttpErrorClass = 'dns' | 'refused' | 'timeout' | 'tls' | 'reset' | 'http' | 'blocked'

export type OutgoingRequest = {
  url: string
  headers: Record<string, string>
  body: Uint8Array
  /** Limit for name resolution, connection, headers and body together. */
  timeoutMs: number
  /** Maximum number of bytes to read of the response body. The rest is discarded. */
  maxResponseBytes: number
  /** Aborts the request; `post` then rejects with its reason. Once `onSend` has been called, the request may have arrived. */
  signal?: AbortSignal
  /**
   * Use a new connection. Otherwise, a kept connection may be used; if the receiver drops it before the first byte of a response, the
   * request is sent again on a new one.
   */
  fresh?: boolean
  /** Never send the request again: a kept connection that the receiver drops is then a failure, and the request may have arrived. */
  once?: boolean
  /** Called before the first byte of the request is sent. Until then, the request cannot have arrived. */
  onSend?: () => void
}

export type OutgoingResult =
  | { type: 'response'; status: number; headers: Record<string, string>; body: Uint8Array; durationMs: number }
  | { type: 'failure'; errorClass: Exclude<HttpErrorClass, 'http'>; message: string; durationMs: number }

/** Local faults, which the receiver did not cause. */
export type OutgoingFaultCode = 'NO_ROUTE' | 'RESOLVER' | 'PROXY' | 'LOCAL'

/**
 * Sends HTTP requests. Addresses are checked before a socket opens, and redirects are never followed. A failure of the receiver is a
 * result. A local fault rejects with a PortError whose code is an OutgoingFaultCode and whose message may be public.
 */
export interface OutgoingHttp {
  /** Checks the URL of an endpoint, resolving its name. Returns null if it is allowed, or else the reason and the setting that would allow it. */
  check(url: string): Promise<string | null>
  post(request: OutgoingRequest): Promise<OutgoingResult>
  /** The same for a GET without a body. */
  get(request: Omit<OutgoingRequest, 'body'>): Promise<OutgoingResult>
  close(): Promise<void>
}

export const outgoingHttp = definePort<OutgoingHttp>('outgoing HTTP')

/** Rights that an endpoint's selection runs with: those that its author had, within the organization and project of the endpoint. */
export type SelectionRights = { organizationId: string; projectId: string | null; permissions: readonly string[] }

export type SelectionRequest = {
  /** A selection set on the event's subject, including its braces: `{ id ... on Deployment { status } }`. */
  selection: string
  rights: SelectionRights
}

/** GraphQL selections on the subject of an event, which is a node of the schema. */
export interface Selection {
  /** Checks a selection for subjects of these types: schema, size, cost and rights. Returns null if it is valid, or else the reason. */
  check(request: SelectionRequest & { subjectTypes: readonly string[] }): string | null
  /** Returns plain JSON, or null if the subject has been deleted or is not a node. Throws if the selection cannot be run now. */
  run(request: SelectionRequest & { subjectType: string; subjectId: string }): Promise<unknown>
}

export const selectionPort = definePort<Selection>('selection')

/** An event as a body contains it. */
export type BodyEvent = { type: string; timestamp: string; data: unknown }

/** Formats of contracts, each of which the REST dialect of that contract knows. */
export type ContractFormat = 'OEC' | 'OCORE'

/** Bodies in the names of a contract. */
export interface ContractBody {
  /** JSON text of an event of the organization. */
  print(event: BodyEvent, organizationId: string): Promise<string>
}

export const contractBodies = definePort<Record<ContractFormat, ContractBody>>('webhook bodies of contracts')

export type MirroredEndpoint = {
  /** TypeID. */
  id: string
  url: string
  description: string | null
  /** Newest signing secret, `whsec_…` or `whsk_…`. */
  secret: string
  /** Whether former keys are still signing. */
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
  /** `repeated` means that the message had been accepted before. */
  | { type: 'accepted'; repeated: boolean; status: number }
  /** The message will never be accepted. */
  | { type: 'refused'; status: number; message: string }

/**
 * A server that delivers messages in place of Quayside. Every method throws a temporary error if the server cannot be reached or cannot
 * answer now. An error that represents a response has `status`, `detail` and `isFinal` (the same request will never be accepted).
 */
export interface Dispatcher {
  /** URL of the server, for display. */
  readonly url: string
  /** Creates or updates the server's copy of an endpoint. */
  mirror(endpoint: MirroredEndpoint): Promise<void>
  /** Deletes the server's copy of an endpoint, if it exists. */
  remove(endpointId: string): Promise<void>
  /** Hands over a message. Idempotent: repeating a message does not send it twice. */
  dispatch(message: DispatchedMessage): Promise<DispatchResult>
  /** Registers event types with the JSON Schemas of their data, by version. */
  declareTypes(
    types: readonly { name: string; description: string; schemas: Record<string, unknown>; deprecated: boolean }[],
  ): Promise<void>
}

/** Provided only with WEBHOOK_ENGINE=svix. */
export const dispatcherPort = definePort<Dispatcher>('webhook dispatcher', { isOptional: true })
