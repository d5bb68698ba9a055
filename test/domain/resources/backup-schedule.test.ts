import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { run, sql } from '../../../src/platform/db/index.ts'
import { decodeId } from '../../../src/platform/id.ts'
import { until } from '../../support/wait.ts'
import { useBackups } from './backup-support.ts'
import { query, useShop } from './support.ts'

const shop = useShop()
const backups = useBackups(shop)

const setSchedule = `mutation ($d: ID!, $cron: String!, $enabled: Boolean, $keep: Int) {
  setBackupSchedule(input: {databaseId: $d, cron: $cron, enabled: $enabled, keep: $keep}) { database { backupSchedule { cron enabled keep nextRunAt } } } }`
const schedule = async (d: string, cron: string, more: Record<string, unknown> = {}) =>
  (await shop.run(setSchedule, { d, cron, ...more })).setBackupSchedule.database.backupSchedule

const listed = async (id: string): Promise<{ id: string; status: string; trigger: string }[]> =>
  (await shop.run('query ($id: ID!) { database(id: $id) { backups { nodes { id status trigger } } } }', { id })).database.backups.nodes

/** Makes the schedule due, and waits until its backup is verified. */
async function runNow(databaseId: string): Promise<string> {
  const known = (await listed(databaseId)).map(({ id }) => id)
  await run(
    shop.app.db,
    sql`update backup_schedule set next_run_at = app_now() where database_id = ${decodeId('Database', databaseId)}::uuid`,
  )
  shop.app.wake.notify('backup schedules')
  const fresh = async () => (await listed(databaseId)).find(({ id }) => !known.includes(id))
  const { id } = await until('the scheduled backup exists', fresh)
  await backups.untilStatus(id, 'VERIFIED')
  return id
}

describe('a backup schedule', () => {
  it('says when it runs next, in UTC, and nothing while it is disabled', async () => {
    const { id } = await shop.createDatabase('Planned')
    const set = await schedule(id, '30 3 * * *')
    expect(set).toEqual({ cron: '30 3 * * *', enabled: true, keep: 7, nextRunAt: expect.stringMatching(/T03:30:00/) })
    expect(Date.parse(set.nextRunAt)).toBeGreaterThan(Date.now() - 60_000)
    expect(await schedule(id, '30 3 * * *', { enabled: false })).toMatchObject({ enabled: false, nextRunAt: null })
  })

  const wrong: [string, string][] = [
    ['nope', 'must be a cron expression'],
    ['0 0 3 * * *', 'must be a cron expression'],
    ['60 * * * *', 'must be a cron expression'],
    ['* * * * *', 'must not run more often than every 10 minutes'],
    ['0 0 30 2 *', 'must have a next run'],
    ['', 'must not be empty'],
  ]
  for (const [cron, message] of wrong) {
    it(`refuses ${JSON.stringify(cron)}, and stores nothing`, async () => {
      const { id } = await shop.createDatabase('Refused')
      expect(await shop.refused(setSchedule, { d: id, cron })).toMatchObject({
        code: 'invalid_input',
        message: expect.stringContaining(message),
      })
      expect(await shop.refused(setSchedule, { d: id, cron: '0 3 * * *', keep: 0 })).toMatchObject({ code: 'invalid_input' })
      const { database } = await shop.run('query ($id: ID!) { database(id: $id) { backupSchedule { cron } } }', { id })
      expect(database.backupSchedule).toBeNull()
    })
  }

  it('takes a backup when it is due, keeps as many as it says, and prunes the changes that only older ones need', async () => {
    const { id, url } = await shop.createDatabase('Kept')
    const manual = await backups.verified(id)
    await schedule(id, '0 3 * * *', { keep: 1 })
    const first = await runNow(id)
    await query(url, 'create table changed as select n from generate_series(1, 200000) n')
    const folder = join(shop.app.settings.DATA_DIR, 'databases', decodeId('Database', id), 'wal')
    const segments = async () => (await readdir(folder)).filter((name) => /^[0-9A-F]{24}$/.test(name))
    const before = await until('changes are archived', async () => {
      const found = await segments()
      return found.length > 0 && found
    })
    const second = await runNow(id)
    await until('the older scheduled backup is deleted', async () => (await backups.read(first)) === null)
    const left = await listed(id)
    expect(left).toEqual([
      { id: second, status: 'VERIFIED', trigger: 'SCHEDULE' },
      { id: manual, status: 'VERIFIED', trigger: 'MANUAL' },
    ])
    const { database } = await shop.run('query ($id: ID!) { database(id: $id) { recoverableFrom backupSchedule { nextRunAt } } }', { id })
    const { backup } = await shop.run('query ($id: ID!) { backup(id: $id) { startedAt } }', { id: second })
    expect(database.recoverableFrom > backup.startedAt).toBe(true)
    expect(Date.parse(database.backupSchedule.nextRunAt)).toBeGreaterThan(Date.now())
    await until('the changes before the second backup are removed', async () => {
      const left = await segments()
      return before.every((name) => !left.includes(name))
    })
    const at = new Date().toISOString()
    const restored = await shop.run(
      'mutation ($d: ID!, $at: DateTime!) { restoreDatabase(input: {databaseId: $d, at: $at}) { database { id } operation { id } } }',
      { d: id, at },
    )
    expect(await backups.ended(restored.restoreDatabase.operation.id)).toMatchObject({ status: 'COMPLETED', error: null })
    expect(await query(await shop.reveal(restored.restoreDatabase.database.id), 'select count(*)::int as n from changed')).toEqual([
      { n: 200_000 },
    ])
  })
})

describe('archived changes', () => {
  const segmentsOf = async (id: string) => {
    const folder = join(shop.app.settings.DATA_DIR, 'databases', decodeId('Database', id), 'wal')
    return (await readdir(folder)).filter((name) => /^[0-9A-F]{24}$/.test(name))
  }
  const archive = async (id: string, url: string) => {
    await query(url, 'create table if not exists changes (n int); insert into changes select generate_series(1, 200000)')
    await until('changes are archived', async () => (await segmentsOf(id)).length > 1)
  }
  const prune = () => shop.app.wake.notify('prune backups')
  const windowOf = async (id: string) =>
    (await shop.run('query ($id: ID!) { database(id: $id) { recoverableFrom recoverableUntil } }', { id })).database

  it('are not kept without a backup', async () => {
    const { id, url } = await shop.createDatabase('Unbacked')
    await archive(id, url)
    prune()
    await until('they are removed', async () => (await segmentsOf(id)).length === 0)
  })

  it('are limited: beyond it, a backup is restored only as it is, and the next backup begins a new window', async () => {
    const { id, url } = await shop.createDatabase('Limited')
    const backupId = await backups.verified(id)
    await archive(id, url)
    prune()
    const at = (await windowOf(id)).recoverableUntil
    expect(await segmentsOf(id)).not.toEqual([])
    const settings = shop.app.settings as { BACKUP_WAL_MAX_BYTES: number }
    const { BACKUP_WAL_MAX_BYTES: limit } = settings
    settings.BACKUP_WAL_MAX_BYTES = 2 ** 20
    prune()
    await until('they are removed', async () => (await segmentsOf(id)).length === 0)
    settings.BACKUP_WAL_MAX_BYTES = limit

    expect(await windowOf(id)).toEqual({ recoverableFrom: null, recoverableUntil: null })
    const toTime = 'mutation ($d: ID!, $at: DateTime!) { restoreDatabase(input: {databaseId: $d, at: $at}) { database { id } } }'
    expect(await shop.refused(toTime, { d: id, at })).toMatchObject({ code: 'time_not_recoverable' })
    expect(shop.app.logged).toContainEqual(expect.objectContaining({ msg: expect.stringContaining('BACKUP_WAL_MAX_BYTES') }))
    const restore = 'mutation ($id: ID!) { restoreBackup(input: {backupId: $id}) { operation { id } } }'
    const { restoreBackup } = await shop.run(restore, { id: backupId })
    expect(await backups.ended(restoreBackup.operation.id)).toMatchObject({ status: 'COMPLETED', error: null })
    await backups.verified(id)
    expect((await windowOf(id)).recoverableFrom > at).toBe(true)
  })
})
