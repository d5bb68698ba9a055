import { onEvents } from '../../../platform/events.ts'
import { secretDeleted } from '../secret/index.ts'
import { removeBindingsOf } from './store.ts'

/** Unbinds deleted secrets. Only a secret that is deleted by force, or with its project, can be bound. */
onEvents(secretDeleted, (work, events) =>
  removeBindingsOf(
    work,
    events.map(({ subjectId }) => subjectId),
  ),
)
