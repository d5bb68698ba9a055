import { onEvent } from '../../../platform/events.ts'
import { secretDeleted } from '../secret/index.ts'
import { removeBindingsOf } from './commands.ts'

/** Deleting a secret by force unbinds it; without force none is bound. */
onEvent(secretDeleted, (work, event) => removeBindingsOf(work, event.subjectId))
