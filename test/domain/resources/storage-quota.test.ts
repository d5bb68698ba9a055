import { expect, it } from 'vitest'
import { newId } from '../../../src/platform/id.ts'
import { createBucketText, useStore } from './storage-support.ts'

const store = useStore({ STORAGE_MAX_BUCKETS: '3' })

it('an organization has at most STORAGE_MAX_BUCKETS buckets, however many are created at one moment', async () => {
  const names = Array.from({ length: 10 }, () => `quota-${newId()}`)
  const outcomes = await Promise.all(names.map((name) => store.refused(createBucketText, { name })))
  expect(outcomes.map(({ code }) => code).sort()).toEqual([...Array(3).fill('done'), ...Array(7).fill('storage_quota_exceeded')])
  const { buckets, storageTenant } = await store.run('{ buckets { nodes { id } } storageTenant { bucketCount maxBuckets } }')
  expect(storageTenant).toEqual({ bucketCount: 3, maxBuckets: 3 })
  await store.bucket(store.other)
  await store.run('mutation ($id: ID!) { deleteBucket(input: {id: $id}) { deletedId } }', { id: buckets.nodes[0].id })
  await store.bucket()
})
