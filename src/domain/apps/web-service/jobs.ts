import { systemCaller } from '../../../platform/access.ts'
import type { Chore } from '../../../platform/claim.ts'
import { nilId } from '../../../platform/id.ts'
import { transact } from '../../../platform/work.ts'
import { removeDeleted } from './commands.ts'

/** Removes deleted services of which nothing runs or is kept any more. */
export const purgeWebServices: Chore = {
  name: 'purge web services',
  topic: 'purge',
  everyMs: 30_000,
  run: (app) => transact(app, systemCaller(nilId), {}, removeDeleted),
}
