import { onEvents } from '../../../platform/events.ts'
import { secretDeleted } from '../secret/index.ts'
import { removeBindingsOf } from './commands.ts'

/** Deleting a secret by force unbinds it; without force none is bound. */
onEvents(secretDeleted, (work, events) =>
  removeBindingsOf(
    work,
    events.map(({ subjectId }) => subjectId),
  ),
)
