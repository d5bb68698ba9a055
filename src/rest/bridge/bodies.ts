import { z } from 'zod'
import { keyStatus } from '../../domain/access/api-key/index.ts'
import type { SpeedTestRow } from '../../domain/odoo/speed-test/index.ts'
import { type Named, time, timeOf } from '../core/index.ts'
import { testStatuses, testTypes } from './vocabulary.ts'

/** The answer to a request that succeeded. */
export const success = <Data extends z.ZodType>(data: Data) => z.object({ success: z.literal(true), data, error: z.null() })

export const succeeded = <Data>(data: Data): { success: true; data: Data; error: null } => ({ success: true, data, error: null })

export const callBody = {
  id: 'CallResult',
  schema: success(z.unknown().describe('Result of the method.')).describe('The result of a call.'),
} satisfies Named

const keyShape = {
  id: z.uuid().describe('ID of the key.'),
  name: z.string().describe('Name of the key.'),
  prefix: z.string().describe('First characters of the key, to recognize it by.'),
  created_at: time.describe('Time when the key was created.'),
  expires_at: time.nullable().describe('Expiry time. Null means the key never expires.'),
  status: z.enum(['active', 'expired', 'revoked']).describe('Status of the key. A revoked key stays `revoked` after its expiry time.'),
}
const key = z.object(keyShape).describe('A key.')
const newKey = z
  .object({
    ...keyShape,
    key: z.string().nullable().describe('The key itself. Null when the request was repeated with an idempotency key.'),
  })
  .describe('A new key.')
const revokedKey = z.object({ id: keyShape.id, status: keyShape.status }).describe('A key that was revoked.')

type KeyRow = Parameters<typeof keyStatus>[0] & { id: string; name: string; prefix: string; createdAt: Date }

export const keyBody = (row: KeyRow, now: Date): z.output<typeof key> => ({
  id: row.id,
  name: row.name,
  prefix: row.prefix,
  created_at: timeOf(row.createdAt),
  expires_at: row.expiresAt && timeOf(row.expiresAt),
  status: keyStatus(row, now),
})

export const newKeyBody = (row: KeyRow, now: Date, plaintextKey: string | null): z.output<typeof newKey> => ({
  ...keyBody(row, now),
  key: plaintextKey,
})

export const revokedKeyBody = (row: KeyRow, now: Date): z.output<typeof revokedKey> => ({ id: row.id, status: keyStatus(row, now) })

const test = z
  .object({
    test_type: z.enum(Object.values(testTypes)).describe('What the test did.'),
    latency_ms: z.int().nullable().describe('Time in milliseconds that Odoo took. Null if the test failed.'),
    status: z.enum(Object.values(testStatuses)).describe('Outcome of the test.'),
    tested_at: time.describe('Time when the test ended.'),
    details: z.string().nullable().describe('What Odoo answered, or why the test failed.'),
  })
  .describe('A speed test.')

export const testBody = ({ type, latencyMs, status, testedAt, details }: SpeedTestRow): z.output<typeof test> => ({
  test_type: testTypes[type],
  latency_ms: latencyMs,
  status: testStatuses[status],
  tested_at: timeOf(testedAt),
  details,
})

export const answers = {
  keys: success(z.array(key)).describe('Keys, oldest first.'),
  newKey: success(newKey).describe('The new key.'),
  revokedKey: success(revokedKey).describe('The key, which no longer works.'),
  test: success(test).describe('A speed test, which has ended. If Odoo failed, its status is `failed`.'),
  tests: success(z.array(test)).describe('Speed tests, newest first.'),
}

export const errorBody = {
  id: 'Error',
  schema: z
    .object({
      success: z.literal(false),
      data: z.null(),
      error: z.string().describe('What is wrong, for people.'),
      code: z.string().describe('Machine-readable code of the error.'),
    })
    .describe('An error.'),
} satisfies Named

export const schemas: readonly Named[] = [
  callBody,
  { id: 'Key', schema: key },
  { id: 'KeyList', schema: answers.keys },
  { id: 'NewKey', schema: newKey },
  { id: 'NewKeyAnswer', schema: answers.newKey },
  { id: 'RevokedKey', schema: revokedKey },
  { id: 'RevokedKeyAnswer', schema: answers.revokedKey },
  { id: 'SpeedTest', schema: test },
  { id: 'SpeedTestAnswer', schema: answers.test },
  { id: 'SpeedTestHistory', schema: answers.tests },
]
