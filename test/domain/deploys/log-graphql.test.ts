import { graphql } from 'graphql'
import { beforeAll, expect, it } from 'vitest'
import { LogBatchType } from '../../../src/domain/deploys/log/graphql.ts'
import type { LogBatch } from '../../../src/domain/deploys/log/index.ts'
import { concepts } from '../../../src/domain/index.ts'
import { builder } from '../../../src/graphql/builder/index.ts'
import { assemble } from '../../../src/platform/concept.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'

// Ids are printed with the prefixes that the concepts declare.
beforeAll(() => void assemble(concepts))

it('returns a batch with the field names of the API', async () => {
  const instanceId = newId()
  const at = new Date('2026-01-31T12:00:00.000Z')
  const batch: LogBatch = {
    lines: [
      { seq: 1, at, stream: 'system', level: 'INFO', instanceId: null, message: 'Starting.', truncated: false },
      { seq: 5_000_000, at, stream: 'stderr', level: null, instanceId, message: 'no', truncated: true },
    ],
    cursor: 'c',
    gap: { fromSeq: 2, toSeq: 4_999_999, lines: 4_999_998, bytes: 5_000_000_000, reason: 'BYTE_CAP' },
    complete: false,
    hasMore: true,
  }
  builder.queryField('batch', (t) => t.field({ type: LogBatchType, resolve: () => batch }))
  builder.mutationField('nothing', (t) => t.boolean({ resolve: () => true }))
  builder.subscriptionField('batches', (t) =>
    t.field({
      type: LogBatchType,
      async *subscribe() {
        yield batch
      },
      resolve: (given) => given,
    }),
  )
  const source = `{ batch { lines { seq timestamp stream level instanceId message truncated } cursor gap { fromSeq toSeq lines bytes reason } complete hasMore } }`
  const schema = builder.toSchema()
  const { data, errors } = await graphql({ schema, source, contextValue: {} })
  expect(errors).toBeUndefined()
  expect(JSON.parse(JSON.stringify(data?.batch))).toEqual({
    ...batch,
    lines: [
      { seq: 1, timestamp: at.toISOString(), stream: 'SYSTEM', level: 'INFO', instanceId: null, message: 'Starting.', truncated: false },
      {
        seq: 5_000_000,
        timestamp: at.toISOString(),
        stream: 'STDERR',
        level: null,
        instanceId: encodeId('Instance', instanceId),
        message: 'no',
        truncated: true,
      },
    ],
  })
})
