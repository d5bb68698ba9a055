import { onEvents, type Reaction } from '../../../platform/events.ts'
import { secretDeleted } from '../secret/index.ts'
import { secretBindingDeleted } from './events.ts'
import { removeBindingsOf } from './store.ts'

/** Unbinds deleted secrets. Only a secret that was deleted with `force`, or with its project, can have bindings. */
const unbindDeleted = onEvents(
  secretDeleted,
  (work, events) =>
    removeBindingsOf(
      work,
      events.map(({ subjectId }) => subjectId),
    ),
  { emits: [secretBindingDeleted] },
)

export const reactions: Reaction[] = [unbindDeleted]
