/** Backups in a bucket: taken, verified, restored and deleted as those on a disk are, also while the bucket is away. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { backupStore } from '../../../src/domain/resources/backup/index.ts'
import { createBackupDisk } from '../../../src/drivers/backup-disk/index.ts'
import { createBackupS3 } from '../../../src/drivers/backup-s3/index.ts'
import { rows, run, sql } from '../../../src/platform/db/index.ts'
import { Secret } from '../../../src/platform/settings.ts'
import { bucketName, type ObjectStorage, startObjectStorage } from '../../support/object-storage.ts'
import { until } from '../../support/wait.ts'
import { useBackups } from './backup-support.ts'
import { query, useShop } from './support.ts'

const shop = useShop()
const backups = useBackups(shop)
let storage: ObjectStorage

beforeAll(async () => {
  storage = await startObjectStorage()
  const { app } = shop
  const others = createBackupDisk({ directory: app.settings.BACKUP_DIR, reserveBytes: 0 })
  const secretAccessKey = new Secret('secret of the bucket')
  const access = { endpoint: storage.endpoint, region: 'here', accessKeyId: 'AKIDEXAMPLE', secretAccessKey }
  backupStore.provide(app, createBackupS3({ ...access, bucket: bucketName, prefix: 'backups', others }))
})
afterAll(() => storage?.close())

const restore = `mutation ($id: ID!) { restoreBackup(input: {backupId: $id}) { database { id } operation { id } } }`
const databases = async () => (await shop.run('{ databases { nodes { id } } }')).databases.nodes.length

it('a backup is verified, restored, restored to a later time, and deleted', async () => {
  const { id, url } = await shop.createDatabase('Bucket')
  await query(url, 'create table kept as select 7 as n')
  const backupId = await backups.verified(id)
  const { sizeBytes } = (await backups.read(backupId))!
  expect([...storage.objects.values()].map(({ length }) => length)).toEqual([sizeBytes])

  const { restoreBackup } = await shop.run(restore, { id: backupId })
  expect(await backups.ended(restoreBackup.operation.id)).toMatchObject({ status: 'COMPLETED', error: null })
  expect(await query(await shop.reveal(restoreBackup.database.id), 'select n from kept')).toEqual([{ n: 7 }])

  await query(url, 'insert into kept values (8)')
  const [{ at } = {}] = await query(url, 'select clock_timestamp() as at')
  await query(url, 'drop table kept')
  const { restoreDatabase } = await shop.run(
    'mutation ($d: ID!, $at: DateTime!) { restoreDatabase(input: {databaseId: $d, at: $at}) { database { id } operation { id } } }',
    { d: id, at: (at as Date).toISOString() },
  )
  expect(await backups.ended(restoreDatabase.operation.id)).toMatchObject({ status: 'COMPLETED', error: null })
  expect(await query(await shop.reveal(restoreDatabase.database.id), 'select n from kept order by n')).toEqual([{ n: 7 }, { n: 8 }])

  await shop.run('mutation ($id: ID!) { deleteBackup(input: {id: $id}) { deletedId } }', { id: backupId })
  await until('the object is deleted', () => storage.objects.size === 0)
})

it('a truncated, changed or missing archive is refused before anything is created', async () => {
  const { id } = await shop.createDatabase('Damaged')
  const backupId = await backups.verified(id)
  const [[key, whole] = ['', Buffer.alloc(0)]] = storage.objects
  const before = await databases()
  const changed = Buffer.from(whole)
  changed[1000]! ^= 1
  for (const content of [whole.subarray(0, 1000), changed, null]) {
    if (content) storage.objects.set(key, content)
    else storage.objects.delete(key)
    expect(await shop.refused(restore, { id: backupId })).toMatchObject({ code: 'backup_damaged' })
  }
  expect(await databases()).toBe(before)
})

it('while the bucket is away, a backup fails with the reason, and the archive of a deleted one is removed later', async () => {
  const { id } = await shop.createDatabase('Away')
  const backupId = await backups.verified(id)
  storage.fault = () => 503
  const failing = await backups.create(id)
  expect(await backups.untilStatus(failing, 'FAILED')).toMatchObject({ error: expect.stringContaining('object storage of the backups') })
  expect(await shop.refused(restore, { id: backupId })).toMatchObject({ code: 'unavailable' })
  await shop.run('mutation ($id: ID!) { deleteBackup(input: {id: $id}) { deletedId } }', { id: backupId })
  await until('the removal has failed', () => shop.app.logged.some(({ msg }) => String(msg).includes('is removed later')))
  const postponed = sql`select 1 as one from backup where deleting_at is not null and due_at > app_now()`
  await until('its next attempt is due later', async () => (await rows(shop.app.db, postponed)).length === 1)
  const count = storage.objects.size
  storage.fault = () => null
  await run(shop.app.db, sql`update backup set due_at = app_now() where deleting_at is not null`)
  shop.app.wake.notify('purge backups')
  await until('the object is deleted', () => storage.objects.size === count - 1)
})
