import { readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { decodeId } from '../../../src/platform/id.ts'
import { until } from '../../support/wait.ts'
import { useBackups } from './backup-support.ts'
import { query, useShop } from './support.ts'

const shop = useShop()
const backups = useBackups(shop)

const archiveOf = (databaseId: string, backupId: string) =>
  join(shop.app.settings.BACKUP_DIR, decodeId('Database', databaseId), `${decodeId('Backup', backupId)}.tar.zst`)

const restoreBackup =
  'mutation ($id: ID!) { restoreBackup(input: {backupId: $id}) { database { id name status } operation { id totalSteps } } }'
const restoreDatabase =
  'mutation ($d: ID!, $at: DateTime!) { restoreDatabase(input: {databaseId: $d, at: $at, name: "Before"}) { database { id } operation { id } } }'

const serverTime = async (url: string): Promise<string> =>
  (await query(url, 'select to_char(clock_timestamp() at time zone \'UTC\', \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\') as at'))[0]!.at as string

describe('a backup of a database', () => {
  it('is stored, verified and restored into a new database with its own credentials', async () => {
    const { id, url } = await shop.createDatabase('Orders')
    await query(url, 'create table orders as select n, md5(n::text) as text from generate_series(1, 500) n')
    const backupId = await backups.verified(id)
    const backup = (await backups.read(backupId))!
    expect(backup).toMatchObject({ trigger: 'MANUAL', error: null, verifiedAt: expect.any(String) })
    expect((await readFile(archiveOf(id, backupId))).length).toBe(backup.sizeBytes)

    const { database, operation } = (await shop.run(restoreBackup, { id: backupId })).restoreBackup
    expect(database).toMatchObject({ name: 'Orders (restored)', status: 'CREATING' })
    expect(await backups.ended(operation.id)).toEqual({ status: 'COMPLETED', error: null, stepsCompleted: 4, totalSteps: 4 })
    const copy = await shop.reveal(database.id)
    expect(copy).not.toBe(url)
    expect(await query(copy, 'select count(*)::int as n, min(text) as text from orders')).toEqual(
      await query(url, 'select count(*)::int as n, min(text) as text from orders'),
    )
    await query(copy, 'insert into orders values (0)')
    expect(await query(url, 'select n from orders where n = 0')).toEqual([])
    const away = new URL(url)
    away.port = new URL(copy).port
    await expect(query(away.href, 'select 1')).rejects.toThrow()
  })

  it('makes every moment since then restorable, also the one before a table was dropped', async () => {
    const { id, url } = await shop.createDatabase('Accident')
    const windowOf = async () =>
      (await shop.run('query ($id: ID!) { database(id: $id) { recoverableFrom recoverableUntil } }', { id })).database
    expect(await windowOf()).toEqual({ recoverableFrom: null, recoverableUntil: null })
    await backups.verified(id)
    await query(url, 'create table invoices as select generate_series(1, 20) as n')
    const before = await serverTime(url)
    await query(url, 'drop table invoices')
    const window = await windowOf()
    expect(window.recoverableFrom < before && before < window.recoverableUntil).toBe(true)

    const { database, operation } = (await shop.run(restoreDatabase, { d: id, at: before })).restoreDatabase
    expect((await backups.ended(operation.id)).status).toBe('COMPLETED')
    expect(await query(await shop.reveal(database.id), 'select count(*)::int as n from invoices')).toEqual([{ n: 20 }])

    for (const at of [new Date(Date.parse(window.recoverableFrom) - 1_000), new Date(Date.now() + 3_600_000)])
      expect(await shop.refused(restoreDatabase, { d: id, at: at.toISOString() })).toMatchObject({
        code: 'time_not_recoverable',
        message: expect.stringContaining('must be between'),
      })
  })

  it('is restored to the last change of a database that is stopped', async () => {
    const { id, url } = await shop.createDatabase('Stopped')
    await backups.verified(id)
    await query(url, 'create table latest as select 1 as n')
    const at = await serverTime(url)
    await shop.run('mutation ($id: ID!) { stopDatabase(input: {id: $id}) { database { id } } }', { id })
    await shop.untilStatus(id, 'STOPPED')
    const { database, operation } = (await shop.run(restoreDatabase, { d: id, at })).restoreDatabase
    expect(await backups.ended(operation.id)).toMatchObject({ status: 'COMPLETED', error: null })
    expect(await query(await shop.reveal(database.id), 'select n from latest')).toEqual([{ n: 1 }])
  })

  it('is refused before anything is created, if its archive is damaged', async () => {
    const { id } = await shop.createDatabase('Damaged')
    const backupId = await backups.verified(id)
    const databases = async () =>
      (await shop.run('query ($p: ID!) { databases(projectId: $p) { totalCount } }', { p: shop.projectId })).databases.totalCount
    const count = await databases()
    await truncate(archiveOf(id, backupId), 1_000)
    expect(await shop.refused(restoreBackup, { id: backupId })).toMatchObject({
      code: 'backup_damaged',
      message: expect.stringContaining('It has 1000 bytes'),
    })
    expect(await databases()).toBe(count)
  })

  it('fails its verification if the archive was damaged after it was stored', async () => {
    const { id } = await shop.createDatabase('Changed')
    await backups.stop()
    const backupId = await backups.create(id)
    const queue = shop.app.domain.queues.find(({ name }) => name === 'backups')!
    const { items } = await queue.claim(shop.app, shop.app.processId, 1, [])
    await queue.work(shop.app, items[0]!, new AbortController().signal)
    expect((await backups.read(backupId))?.status).toBe('STORED')
    const file = archiveOf(id, backupId)
    const bytes = await readFile(file)
    bytes[Math.floor(bytes.length / 2)]! ^= 1
    await writeFile(file, bytes)
    backups.start()
    expect(await backups.untilStatus(backupId, 'FAILED')).toMatchObject({ error: expect.stringContaining('Its content has changed') })
    expect(await shop.refused(restoreBackup, { id: backupId })).toMatchObject({ code: 'backup_not_usable' })
  })

  it('survives its database, and is then restored with the settings of the original', async () => {
    const { id, url } = await shop.createDatabase('Gone')
    await query(url, 'create table kept as select 7 as n')
    const backupId = await backups.verified(id)
    await shop.run('mutation ($id: ID!) { deleteDatabase(input: {id: $id}) { deletedId } }', { id })
    await shop.untilGone(id)
    const { backup } = await shop.run('query ($id: ID!) { backup(id: $id) { status database { id } } }', { id: backupId })
    expect(backup).toEqual({ status: 'VERIFIED', database: null })
    const { database, operation } = (await shop.run(restoreBackup, { id: backupId })).restoreBackup
    expect(await backups.ended(operation.id)).toMatchObject({ status: 'COMPLETED', error: null })
    expect(await query(await shop.reveal(database.id), 'select n from kept')).toEqual([{ n: 7 }])
  })

  it('calls no function of the owner, and does not depend on the settings that the owner gives the database', async () => {
    const { id, url } = await shop.createDatabase('Trap')
    const name = new URL(url).pathname.slice(1)
    await query(
      url,
      `create schema trap;
       create function trap.current_setting(text) returns text language plpgsql as $$ begin raise 'called by %', current_user; end $$;
       alter database ${name} set search_path = trap, pg_catalog; alter database ${name} set role = ${name};
       alter database ${name} set default_transaction_read_only = on`,
    )
    await expect(query(url, "select current_setting('is_superuser')")).rejects.toThrow('called by')
    await backups.verified(id)
  })

  it('is refused for a database that is not running, and a second one at the same time', async () => {
    const { id } = await shop.createDatabase('Busy')
    await backups.stop()
    const create = 'mutation ($d: ID!) { createBackup(input: {databaseId: $d}) { backup { id } } }'
    const backupId = await backups.create(id)
    expect(await shop.refused(create, { d: id })).toMatchObject({ code: 'backup_in_progress' })
    expect(await shop.refused('mutation ($id: ID!) { deleteDatabase(input: {id: $id}) { deletedId } }', { id })).toMatchObject({
      code: 'resource_busy',
      message: expect.stringContaining('A backup of the database is in progress'),
    })
    backups.start()
    await backups.untilStatus(backupId, 'VERIFIED')
    await shop.run('mutation ($id: ID!) { stopDatabase(input: {id: $id}) { database { id } } }', { id })
    await shop.untilStatus(id, 'STOPPED')
    expect(await shop.refused(create, { d: id })).toMatchObject({ code: 'database_not_running' })
  })

  it('is deleted with its archive', async () => {
    const { id } = await shop.createDatabase('Deleted')
    const backupId = await backups.verified(id)
    await shop.run('mutation ($id: ID!) { deleteBackup(input: {id: $id}) { deletedId } }', { id: backupId })
    expect(await backups.read(backupId)).toBeNull()
    await until('the archive is removed', async () =>
      (await readdir(shop.app.settings.BACKUP_DIR)).every((name) => name !== decodeId('Database', id)),
    )
  })
})
