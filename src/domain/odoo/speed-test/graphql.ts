import {
  builder,
  connectionOf,
  enumType,
  idField,
  mutation,
  Node,
  payloadOf,
  rootConnection,
  timestamps,
} from '../../../graphql/builder/index.ts'
import { runSpeedTest } from './commands.ts'
import { countSpeedTests, listSpeedTests, speedTestListing } from './queries.ts'

const SpeedTestType = enumType('SpeedTestType', 'What a speed test does.', {
  LIGHT: 'Opens a connection and asks Odoo for its version, which needs no login.',
  HEAVY: 'Logs in and reads several fields of 25 sales orders.',
})

const SpeedTestStatus = enumType('SpeedTestStatus', 'Outcome of a speed test.', {
  SUCCEEDED: 'Odoo answered.',
  FAILED: 'Odoo did not answer in time or refused the request. See `details`.',
})

export const SpeedTest = builder.prismaObject('SpeedTest', {
  description: 'A speed test of an Odoo account. Speed tests are kept for `SPEED_TEST_RETENTION_MS`.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:odoo',
  fields: (t) => ({
    id: t.id(idField('SpeedTest')),
    type: t.expose('type', { type: SpeedTestType, description: 'What the test did.' }),
    status: t.expose('status', { type: SpeedTestStatus, description: 'Outcome of the test.' }),
    latencyMs: t.exposeInt('latencyMs', {
      nullable: true,
      description: 'Time in milliseconds from the first request to Odoo until its last answer. Null if the test failed.',
    }),
    testedAt: t.expose('testedAt', { type: 'DateTime', description: 'Time when the test ended.' }),
    details: t.exposeString('details', {
      nullable: true,
      description: 'What Odoo answered, such as its version, or why the test failed.',
    }),
    createdAt: t.expose('createdAt', timestamps.createdAt),
    updatedAt: t.expose('updatedAt', timestamps.updatedAt),
  }),
})

rootConnection(connectionOf(SpeedTest, speedTestListing), {
  list: listSpeedTests,
  count: countSpeedTests,
  args: builder.args((t) => ({ odooAccountId: t.id({ description: 'Return only speed tests of this Odoo account.' }) })),
})

mutation(runSpeedTest, {
  input: (t) => ({
    odooAccountId: t.id({ required: true, description: 'ID of the Odoo account.' }),
    type: t.field({ type: SpeedTestType, required: true, description: 'What to test.' }),
  }),
  payload: payloadOf('speedTest', SpeedTest, 'The speed test, which has ended.'),
})
