import { z } from 'zod'
import { runSpeedTest, sliceSpeedTests } from '../../../domain/odoo/speed-test/index.ts'
import { commandRow, queryRow, type Route, wholeNumber } from '../../core/index.ts'
import { answers, succeeded, testBody } from '../bodies.ts'
import { testTypes } from '../vocabulary.ts'

const tag = 'Speed tests'

export const speedTestRoutes: Route[] = [
  commandRow({
    id: 'runSpeedTest',
    method: 'POST',
    path: '/speed-test',
    tag,
    summary: 'Run a speed test',
    description:
      'A `light` test asks Odoo for its version, and a `heavy` one logs in and reads 25 sales orders. If Odoo fails, the test has the status `failed`, and the request succeeds. While another test of the account runs, the request fails with `speed_test_in_progress`.',
    people: true,
    command: runSpeedTest,
    body: {
      type: { to: 'type', words: testTypes, schema: z.enum(Object.values(testTypes)), description: 'What to test.' },
      connection_id: {
        to: 'odooAccountId',
        description: 'ID of the Odoo account to test. It can be omitted if the organization has exactly one.',
      },
    },
    status: 200,
    schema: answers.test,
    reply: ({ speedTest }) => succeeded(testBody(speedTest)),
  }),
  queryRow({
    id: 'listSpeedTests',
    method: 'GET',
    path: '/speed-test/history',
    tag,
    summary: 'List speed tests',
    people: true,
    read: sliceSpeedTests,
    query: {
      connection_id: { to: 'odooAccountId', description: 'Return only tests of this Odoo account.' },
      limit: {
        to: 'limit',
        read: wholeNumber,
        fallback: 100,
        schema: z.int().min(1).max(100),
        description: 'Maximum number of tests to return.',
      },
    },
    status: 200,
    schema: answers.tests,
    reply: ({ rows }) => succeeded(rows.map(testBody)),
  }),
]
