import { onEvent, type Reaction } from '../../../platform/events.ts'
import { customDomainEvents, customDomainFailed } from '../../apps/custom-domain/index.ts'
import { requestsTopic, servedTopic } from './model.ts'

/** A certificate is served as long as its domain belongs to the organization, and ordered as soon as it does. */
const followDomains = onEvent([customDomainEvents.verified, customDomainEvents.deleted, customDomainFailed], async (work) =>
  work.wake(servedTopic, requestsTopic),
)

export const reactions: Reaction[] = [followDomains]
