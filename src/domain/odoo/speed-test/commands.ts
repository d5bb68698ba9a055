import { z } from 'zod'
import type { SpeedTest } from '../../../generated/prisma/client.ts'
import { defineCommand } from '../../../platform/command.ts'
import { newRow, row, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { newId } from '../../../platform/id.ts'
import { lockOdooAccount } from '../odoo-account/index.ts'
import { speedTestErrors } from './errors.ts'
import { type Measured, measure } from './measure.ts'

export const runSpeedTest = defineCommand({
  name: 'runSpeedTest',
  description:
    'Measures the latency of an Odoo account and records the result. If Odoo cannot be reached, refuses the login or does not answer within 8 seconds, the test has the status `FAILED`, and the request succeeds. Fails with `speed_test_in_progress` while another test of the account runs.',
  permission: 'manage:odoo',
  ids: { odooAccountId: 'OdooAccount' },
  targetType: 'SpeedTest',
  input: z.object({ odooAccountId: z.string().nullish(), type: z.enum(['LIGHT', 'HEAVY']) }),
  emits: [],
  prepare: measure,
  async run(work, { type }, _target, measured: Measured) {
    const { account, result } = demandMeasured(measured)
    // It may have been deleted meanwhile.
    if (!(await lockOdooAccount(work, account.id))) throw errors.not_found({ field: 'odooAccountId' })
    const added = newRow({ id: newId(), organizationId: account.organizationId, odooAccountId: account.id, type, ...result })
    return { speedTest: (await row<SpeedTest>(work.tx, sql`insert into speed_test ${added} returning *`))! }
  },
})

function demandMeasured(measured: Measured): Extract<Measured, { outcome: 'measured' }> {
  if (measured.outcome === 'busy') throw speedTestErrors.speed_test_in_progress()
  if (measured.outcome === 'missing') throw errors.not_found({ field: 'odooAccountId' })
  if (measured.outcome === 'unclear')
    throw errors.invalid_input({
      field: 'odooAccountId',
      text: 'odooAccountId: is required unless the organization has exactly one Odoo account',
    })
  return measured
}
