import { onEvent, type Reaction } from '../../../platform/events.ts'
import { webServiceDeleted } from '../web-service/index.ts'
import { removeDomainsOf } from './commands.ts'
import { customDomainEvents } from './events.ts'

const deleteWithService = onEvent(webServiceDeleted, (work, { subjectId }) => removeDomainsOf(work, subjectId), {
  emits: [customDomainEvents.deleted],
})

export const reactions: Reaction[] = [deleteWithService]
