import type { WebhookMessage } from '../../../generated/prisma/client.ts'
import { encodeId } from '../../../platform/id.ts'

/** A message without its body, which may be large. */
export type Message = Omit<WebhookMessage, 'body'>

/** A message as a request needs it. */
export type Sendable = Pick<
  WebhookMessage,
  'id' | 'organizationId' | 'projectId' | 'eventType' | 'schemaVersion' | 'subjectType' | 'subjectId' | 'timestamp'
> & {
  /** Null for a test message. */
  position: bigint | null
  /** Null if the body was removed. */
  body: string | null
  /** Database time at which the message was read. */
  now: Date
}

/** An event as the fan-out reads it. */
export type EventRow = {
  id: string
  organizationId: string
  projectId: string | null
  position: bigint
  type: string
  schemaVersion: number
  sequence: number
  /** The JSON text as published. Parsing and printing it again would change large integers. */
  data: string
  createdAt: Date
}

type Envelope = Pick<EventRow, 'id' | 'organizationId' | 'type' | 'schemaVersion' | 'sequence' | 'createdAt'>

/** The request body of an event. Built once, so that every attempt signs and sends the same bytes. */
export const bodyOf = (event: Envelope, data: string, isTest = false): string =>
  `{"type":${JSON.stringify(event.type)},"timestamp":${JSON.stringify(event.createdAt.toISOString())},"data":${data},` +
  `"id":"${encodeId('WebhookMessage', event.id)}","organizationId":"${encodeId('Organization', event.organizationId)}",` +
  `"sequence":${event.sequence},"schemaVersion":${event.schemaVersion}${isTest ? ',"test":true' : ''}}`
