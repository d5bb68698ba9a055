import { systemCaller } from '../../../platform/access.ts'
import type { Chore } from '../../../platform/claim.ts'
import { nilId } from '../../../platform/id.ts'
import { transact } from '../../../platform/work.ts'
import { retryFailedOperations } from '../operation/index.ts'
import { operationName } from './model.ts'

/** An organization must not stay half removed because processes were killed several times in a row. */
export const resumeDeletions: Chore = {
  name: 'resume deletions of organizations',
  topic: null,
  everyMs: 10 * 60_000,
  async run(app) {
    const resumed = await transact(app, systemCaller(nilId), {}, (work) => retryFailedOperations(work, operationName))
    if (resumed > 0) app.log.warn({ operations: resumed }, 'deletions of organizations that had failed are continued')
  },
}
