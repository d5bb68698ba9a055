/** Settings of the installation that change while it runs: stored in the database, followed by every process. */
import { defineConcept } from '../../../platform/concept.ts'
import { adminSettings, updateSettings } from './commands.ts'

export { adminSettings, updateSettings } from './commands.ts'
export { type ChangeableSettings, fieldNames } from './model.ts'
export { followSettings, loadSettings } from './store.ts'

export const setting = defineConcept({
  name: 'setting',
  commands: [updateSettings],
  queries: [adminSettings],
})
