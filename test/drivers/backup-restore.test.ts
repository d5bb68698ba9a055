import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { copyFile, open, readFile, rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RecoveryTarget, restoreBackup } from '../../src/drivers/postgres/backup/index.ts'
import { startCluster } from '../../src/drivers/postgres/cluster.ts'
import type { Connection } from '../../src/platform/db/connection.ts'
import { until } from '../support/wait.ts'
import { never, openSource, problem, type Source, type Taken } from './backup-support.ts'

let source: Source
let session: Connection
let stored: Taken

beforeAll(async () => {
  source = await openSource()
  session = await source.connect()
  await session.run('create table orders (n int primary key); insert into orders select generate_series(1, 100)')
  stored = await source.backUp()
})
afterAll(() => source?.close())

const nothing = async () => {}

/** Restores, starts the server as an ordinary one, and returns a session. */
async function restored(target: RecoveryTarget): Promise<Connection> {
  const { cluster, url } = source.newCluster()
  await restoreBackup({ backup: stored, cluster, target, reserveBytes: 0 }, never, nothing)
  await startCluster(cluster, { settings: { listen_addresses: '' }, create: () => expect.fail('there is no cluster') })
  return source.connect(url)
}

const now = async () =>
  (
    await session.rows<{ at: string }>('select to_char(clock_timestamp() at time zone \'UTC\', \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\') as at')
  )[0]!.at

/** Completes the WAL so far and waits until it is archived. */
async function archiveWal(): Promise<void> {
  await session.run('begin; select pg_current_xact_id(); commit')
  const [{ name } = { name: '' }] = await session.rows<{ name: string }>('select pg_walfile_name(pg_switch_wal()) as name')
  await until('the WAL is archived', () => existsSync(join(source.wal, name)))
}

describe('a restore', () => {
  it('returns the content at the end of the backup, in a database that accepts writes', async () => {
    await session.run('insert into orders values (101)')
    const copy = await restored({ lsn: stored.details.targetLsn })
    expect(await copy.rows('select count(*)::int as n, pg_is_in_recovery() as recovering from orders')).toEqual([
      { n: 100, recovering: false },
    ])
    await copy.run('insert into orders values (0)')
    expect(await session.rows('select n from orders where n = 0')).toEqual([])
  })

  it('returns the content at a time between two changes', async () => {
    await session.run('insert into orders select generate_series(1001, 1050)')
    const before = await now()
    await session.run('drop table orders')
    await archiveWal()
    const copy = await restored({ time: before, wal: [source.wal] })
    expect(await copy.rows('select count(*)::int as n from orders where n > 1000')).toEqual([{ n: 50 }])
    expect(await session.rows("select to_regclass('orders')::text as found")).toEqual([{ found: null }])
    await session.run('create table orders (n int primary key)')
  })

  it('is refused if the WAL ends before the requested time', async () => {
    await archiveWal()
    const { cluster } = source.newCluster()
    const later = new Date(Date.now() + 3_600_000).toISOString()
    expect(
      await problem(
        restoreBackup({ backup: stored, cluster, target: { time: later, wal: [source.wal] }, reserveBytes: 0 }, never, nothing),
      ),
    ).toMatchObject({
      code: 'WAL_MISSING',
    })
  })

  it('returns all that is in the WAL if no time is given', async () => {
    await session.run('create table latest as select 42 as answer')
    await archiveWal()
    const copy = await restored({ wal: [source.wal] })
    expect(await copy.rows('select answer from latest')).toEqual([{ answer: 42 }])
  })

  const damages: [string, (file: string) => Promise<void>, string][] = [
    [
      'a changed byte',
      async (file) => {
        const handle = await open(file, 'r+')
        const { size } = await handle.stat()
        const at = Math.floor(size / 2)
        const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, at)
        await handle.write(Buffer.from([(buffer[0] as number) ^ 1]), 0, 1, at)
        await handle.close()
      },
      'Its content has changed.',
    ],
    ['a missing end', async (file) => truncate(file, 1000), 'It has 1000 bytes instead of'],
    ['no content', async (file) => truncate(file, 0), 'It has 0 bytes instead of'],
    ['no file', (file) => rm(file), 'The archive of the backup is missing.'],
  ]
  for (const [what, damage, message] of damages) {
    it(`is refused before anything is created, for an archive with ${what}`, async () => {
      const file = join(source.folder, 'damaged.tar.zst')
      await copyFile(stored.file, file)
      await damage(file)
      const { cluster } = source.newCluster()
      const opened = async () => (existsSync(file) ? (await open(file)).createReadStream() : null)
      const error = await problem(
        restoreBackup(
          { backup: { ...stored, open: opened }, cluster, target: { lsn: stored.details.targetLsn }, reserveBytes: 0 },
          never,
          nothing,
        ),
      )
      expect(error).toMatchObject({ code: 'BACKUP_DAMAGED', message: expect.stringContaining(message) })
      expect([cluster.data, cluster.draft, cluster.log].filter((path) => existsSync(path))).toEqual([])
    })
  }

  it('is refused before anything is created, if the disk has too little space', async () => {
    const { cluster } = source.newCluster()
    const error = await problem(
      restoreBackup({ backup: stored, cluster, target: { lsn: stored.details.targetLsn }, reserveBytes: 2 ** 60 }, never, nothing),
    )
    expect(error).toMatchObject({ code: 'NO_CAPACITY' })
    expect(existsSync(cluster.data)).toBe(false)
  })

  it('ends when it is aborted', async () => {
    const { cluster } = source.newCluster()
    const stopping = new AbortController()
    const open = async () => {
      stopping.abort(new Error('enough'))
      return stored.open()
    }
    expect(
      await problem(
        restoreBackup(
          { backup: { ...stored, open }, cluster, target: { lsn: stored.details.targetLsn }, reserveBytes: 0 },
          stopping.signal,
          nothing,
        ),
      ),
    ).toMatchObject({
      message: 'enough',
    })
  })
})

describe('the process that takes a backup', () => {
  it('ends when the process that started it is killed, and the server ends the backup', async () => {
    const script = `import { startTask } from ${JSON.stringify(join(import.meta.dirname, '../../src/drivers/postgres/backup/low-priority.ts'))}
      const task = { name: 'back up', data: ${JSON.stringify(source.data)}, url: ${JSON.stringify(source.url)}, snapshotWaitMs: 60_000 }
      const { output } = startTask(task, new AbortController().signal)
      output.once('data', () => console.log('begun'))
      output.once('data', () => output.pause())`
    const parent = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(parent.stdout, 'data')
    const children = (await readFile(`/proc/${parent.pid}/task/${parent.pid}/children`, 'utf8')).trim().split(' ')
    expect(children).toHaveLength(1)
    const slots = async () => (await session.rows<{ n: number }>('select count(*)::int as n from pg_replication_slots'))[0]!.n
    expect(await slots()).toBe(1)
    parent.kill('SIGKILL')
    await until('the child has ended', () => !existsSync(`/proc/${children[0]}`))
    await until('the server has dropped the slot', async () => (await slots()) === 0)
  })
})
