/** A process that handled a backup or a restore was killed: what it left is cleaned up, and another process goes on. */
import { mkdir, readdir, realpath, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Cluster, findInstallation, initialData, startCluster } from '../../../src/drivers/postgres/cluster.ts'
import { socketDirOf } from '../../../src/drivers/postgres/place.ts'
import { isServing } from '../../../src/drivers/postgres/process.ts'
import { raw, run, sql } from '../../../src/platform/db/index.ts'
import { decodeId, newId } from '../../../src/platform/id.ts'
import { until } from '../../support/wait.ts'
import { useBackups } from './backup-support.ts'
import { query, useShop } from './support.ts'

const shop = useShop()
const backups = useBackups(shop)

async function claimAs(owner: string, name: string): Promise<void> {
  const queue = shop.app.domain.queues.find((one) => one.name === name)!
  const { items } = await queue.claim(shop.app, owner, 1, [])
  expect(items).toHaveLength(1)
}

const expire = (owner: string, table: string) =>
  run(shop.app.db, sql`update ${raw(table)} set lease_expires_at = app_now() - interval '1 second' where lease_owner = ${owner}`)

/** Claims the item of a queue as another process, whose lease then expires. */
async function claimAndDie(name: string, table: string): Promise<void> {
  await claimAs('killed process', name)
  await expire('killed process', table)
}

/** Takes the backup that is due, in this process. */
async function store(): Promise<void> {
  const queue = shop.app.domain.queues.find(({ name }) => name === 'backups')!
  const { items } = await queue.claim(shop.app, shop.app.processId, 1, [])
  await queue.work(shop.app, items[0]!, new AbortController().signal)
}

const leave = async (path: string) => {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, 'half')
}
const asideOf = (id: string) => join(shop.app.settings.DATA_DIR, 'restores', `${id}-0badc0de`)
const aside = () => readdir(join(shop.app.settings.DATA_DIR, 'restores')).catch(() => [])

describe('after the process that handled it was killed', () => {
  it('a backup is taken again, without the half archive', async () => {
    const { id, url } = await shop.createDatabase('Halfway')
    await query(url, 'create table kept as select 5 as n')
    await backups.stop()
    const backupId = await backups.create(id)
    await claimAndDie('backups', 'backup')
    expect((await backups.read(backupId))?.status).toBe('RUNNING')
    const folder = join(shop.app.settings.BACKUP_DIR, decodeId('Database', id))
    const archive = `${decodeId('Backup', backupId)}.tar.zst`
    await leave(join(folder, `${archive}.0123456789ab.draft`))
    backups.start()
    await backups.untilStatus(backupId, 'VERIFIED')
    expect(await readdir(folder)).toEqual([archive])
  })

  it('a verification begins again, and leaves no copy of the database', async () => {
    const { id } = await shop.createDatabase('Unverified')
    await backups.stop()
    const backupId = await backups.create(id)
    await store()
    await claimAndDie('backup verifications', 'backup')
    await leave(join(asideOf(decodeId('Backup', backupId)), 'data/PG_VERSION'))
    backups.start()
    await backups.untilStatus(backupId, 'VERIFIED')
    expect(await aside()).toEqual([])
  })

  it('a restore begins again, and the database is not started before it is complete', async () => {
    const { id, url } = await shop.createDatabase('Restored')
    await query(url, 'create table kept as select 9 as n')
    const backupId = await backups.verified(id)
    await backups.stop()
    const { restoreBackup } = await shop.run(
      'mutation ($id: ID!) { restoreBackup(input: {backupId: $id}) { database { id } operation { id } } }',
      { id: backupId },
    )
    const copy = restoreBackup.database.id
    await claimAndDie('restores', 'restore')
    await leave(join(asideOf(decodeId('Database', copy)), 'data/PG_VERSION'))
    expect(await shop.refused('mutation ($id: ID!) { deleteDatabase(input: {id: $id}) { deletedId } }', { id: copy })).toMatchObject({
      code: 'resource_busy',
    })
    expect(await shop.refused('mutation ($id: ID!) { deleteBackup(input: {id: $id}) { deletedId } }', { id: backupId })).toMatchObject({
      code: 'backup_in_use',
    })
    // A database that was created later is running, so the supervisor has passed over this one.
    await shop.createDatabase('Later')
    expect((await shop.status(copy))?.status).toBe('CREATING')
    backups.start()
    expect(await backups.ended(restoreBackup.operation.id)).toMatchObject({ status: 'COMPLETED', error: null })
    expect(await query(await shop.reveal(copy), 'select n from kept')).toEqual([{ n: 9 }])
    expect(await aside()).toEqual([])
  })

  it('a backup that three processes did not survive fails with the reason', async () => {
    const { id } = await shop.createDatabase('Deadly')
    await backups.stop()
    const backupId = await backups.create(id)
    for (let death = 0; death < 3; death++) await claimAndDie('backups', 'backup')
    backups.start()
    expect(await backups.untilStatus(backupId, 'FAILED')).toMatchObject({ error: expect.stringContaining('The last 3 processes') })
  })
})

/** A copy whose server still runs. */
async function startCopy(path: string): Promise<Cluster> {
  await mkdir(path, { recursive: true })
  const folder = await realpath(path)
  const files = { data: join(folder, 'data'), draft: join(folder, 'new'), log: join(folder, 'server.log'), socketDir: socketDirOf(folder) }
  const request = { root: folder, dataDir: shop.app.settings.DATA_DIR, data: files.data, unshare: 'unshare' }
  const cluster = { ...(await findInstallation(request)), ...files, port: 5432 }
  await startCluster(cluster, {
    settings: { listen_addresses: '' },
    create: (draft) => initialData(cluster, draft, ['--username=quayside', '--auth=trust']),
  })
  return cluster
}

describe('a start', () => {
  it('ends and removes the copies of databases that nothing will continue, and none that another process works on', async () => {
    const { id } = await shop.createDatabase('Swept')
    await backups.stop()
    const backupId = await backups.create(id)
    await store()
    await claimAs('living process', 'backup verifications')
    const working = asideOf(decodeId('Backup', backupId))
    await leave(join(working, 'data/PG_VERSION'))
    const copy = await startCopy(asideOf(newId()))
    expect(await isServing(copy)).toBe(true)
    backups.start()
    await until('one copy is removed', async () => (await aside()).length === 1)
    expect(await isServing(copy)).toBe(false)
    expect(await aside()).toEqual([basename(working)])
    await expire('living process', 'backup')
    shop.app.wake.notify('backups')
    await backups.untilStatus(backupId, 'VERIFIED')
    expect(await aside()).toEqual([])
  })
})

describe('a restore that fails', () => {
  it('deletes the new database, and the operation has the reason', async () => {
    const { id } = await shop.createDatabase('Unlucky')
    const backupId = await backups.verified(id)
    await backups.stop()
    const { restoreBackup } = await shop.run(
      'mutation ($id: ID!) { restoreBackup(input: {backupId: $id}) { database { id } operation { id } } }',
      { id: backupId },
    )
    const archive = join(shop.app.settings.BACKUP_DIR, decodeId('Database', id), `${decodeId('Backup', backupId)}.tar.zst`)
    await writeFile(archive, 'something else')
    backups.start()
    expect(await backups.ended(restoreBackup.operation.id)).toMatchObject({
      status: 'FAILED',
      error: expect.stringContaining('The archive of the backup is damaged.'),
    })
    await shop.untilGone(restoreBackup.database.id)
    expect(await aside()).toEqual([])
  })
})
