import { systemCaller } from '../../../platform/access.ts'
import type { Chore } from '../../../platform/claim.ts'
import { nilId } from '../../../platform/id.ts'
import { transact } from '../../../platform/work.ts'
import { removeDeleted } from './commands.ts'

/** Removes deleted services that have no more instances and no stored releases. */
export const purgeWebServices: Chore = {
  name: 'purge web services',
  topic: 'purge',
  everyMs: 30_000,
  run: (app) => transact(app, systemCaller(nilId), {}, removeDeleted),
}
