import { onEvent, type Reaction } from '../../../platform/events.ts'
import { memberLeft, memberRemoved } from '../member/index.ts'
import { revokeKeysOfMember } from './commands.ts'
import { apiKeyRevoked } from './events.ts'

/** The keys of a former member stay revoked, also if the user joins again. */
const revokeWithMember = onEvent([memberRemoved, memberLeft], (work, { subjectId }) => revokeKeysOfMember(work, subjectId).then(() => {}), {
  emits: [apiKeyRevoked],
})

export const reactions: Reaction[] = [revokeWithMember]
