import type { Claims } from '../../../platform/claim.ts'
import type { App } from '../../../platform/work.ts'
import { type ClaimedDelivery, claimDeliveries } from '../delivery/index.ts'
import { findRecipients, type Recipient, type UnreadableRecipient } from '../endpoint/index.ts'
import { readSendables, type Sendable } from '../message/index.ts'

/** A claimed delivery with everything that its request needs. */
export type LoadedDelivery = ClaimedDelivery & {
  message: Sendable
  /** Null if the endpoint has been deleted. */
  recipient: Recipient | UnreadableRecipient | null
  /** `sent`: whether a request of this claim may have reached the receiver. */
  progress: { sent: boolean }
}

/** Whether the message was sent manually as a test: no event belongs to it, also when it is sent again. */
export const isTest = ({ message }: LoadedDelivery): boolean => message.position === null

/** Claims due deliveries and reads their messages and endpoints, each in one statement. */
export async function claimLoaded(
  app: App,
  worker: string,
  limit: number,
  held: readonly LoadedDelivery[],
): Promise<Claims<LoadedDelivery>> {
  const { items: claimed, ...outlook } = await claimDeliveries(app, worker, limit, held)
  if (claimed.length === 0) return { items: [], ...outlook }
  const [recipients, messages] = await Promise.all([
    findRecipients(
      app,
      claimed.map(({ endpointId }) => endpointId),
    ),
    readSendables(
      app.db,
      claimed.map(({ messageId }) => messageId),
    ),
  ])
  const items = claimed.flatMap((delivery) => {
    const message = messages.get(delivery.messageId)
    return message ? [{ ...delivery, message, recipient: recipients.get(delivery.endpointId) ?? null, progress: { sent: false } }] : []
  })
  return { items, ...outlook }
}
