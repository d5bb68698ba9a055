/** Speed tests of Odoo accounts: how long an answer takes, measured on request, and kept as a history. */
import { defineConcept } from '../../../platform/concept.ts'
import { check, stamped } from '../../../platform/db/constraints.ts'
import { organizationContents, rowsOfAccess } from '../../access/organization/index.ts'
import { runSpeedTest } from './commands.ts'
import { speedTestErrors } from './errors.ts'
import { countSpeedTests, listSpeedTests, sliceSpeedTests, speedTestListing } from './queries.ts'
import { expireSpeedTests } from './retention.ts'

export { runSpeedTest } from './commands.ts'
export { type SpeedTestRow, sliceSpeedTests } from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    SpeedTest: 'speed'
  }
}

export const speedTest = defineConcept({
  name: 'speed-test',
  idPrefixes: { SpeedTest: 'speed' },
  nodes: [speedTestListing],
  commands: [runSpeedTest],
  queries: [listSpeedTests, countSpeedTests, sliceSpeedTests],
  errors: [speedTestErrors],
  chores: [expireSpeedTests],
  extensions: [organizationContents.with(rowsOfAccess('speed tests', ['speed_test_run', 'speed_test']))],
  constraints: [
    ...stamped('speed_test'),
    check('speed_test', 'latency', "(status = 'SUCCEEDED') = (latency_ms IS NOT NULL) AND latency_ms >= 0"),
  ],
})
