/** Disks that are really full: that of the backups, and that of a database and its archived changes. */
import { execFileSync } from 'node:child_process'
import { appendFile, mkdtemp, readdir, rm, statfs, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodeId } from '../../../src/platform/id.ts'
import { until } from '../../support/wait.ts'
import { useBackups } from './backup-support.ts'
import { query, useShop } from './support.ts'

const megabyte = 2 ** 20

// Only root may mount a disk of a given size.
describe.runIf(process.getuid?.() === 0)('on a full disk', () => {
  const disks: string[] = []
  // Registered first, so that it runs last.
  afterAll(async () => {
    for (const disk of disks) {
      execFileSync('umount', ['--lazy', disk])
      await rm(disk, { recursive: true })
    }
  })
  const shop = useShop()
  const backups = useBackups(shop)
  let [backupDisk, databaseDisk] = ['', '']

  /** Puts a folder on a disk of its own. */
  async function mount(path: string, megabytes: number): Promise<string> {
    const disk = await mkdtemp(join(tmpdir(), 'quayside-disk-'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=711`, 'tmpfs', disk])
    disks.push(disk)
    await symlink(disk, path)
    return disk
  }

  beforeAll(async () => {
    const { DATA_DIR, BACKUP_DIR } = shop.app.settings
    backupDisk = await mount(BACKUP_DIR, 2)
    databaseDisk = await mount(join(DATA_DIR, 'databases'), 200)
  })

  const ballast = () => join(databaseDisk, 'ballast')
  /** Uses up the disk of the databases, except for some bytes. */
  async function fill(leaveBytes: number): Promise<void> {
    const free = async () => {
      const { bavail, bsize } = await statfs(databaseDisk)
      return bavail * bsize - leaveBytes
    }
    for (let left = await free(); left > 0; left = await free()) {
      await appendFile(ballast(), Buffer.alloc(Math.min(left, megabyte))).catch((error) => {
        if (error.code !== 'ENOSPC') throw error
      })
    }
  }

  it('a backup fails with the reason and leaves nothing, and the database is not affected', async () => {
    const { id, url } = await shop.createDatabase('Backed up')
    await query(url, 'create table kept as select n, md5(n::text) as text from generate_series(1, 50000) n')
    const failing = await backups.create(id)
    expect(await backups.untilStatus(failing, 'FAILED')).toMatchObject({
      error: 'The disk of the backups has too little free space.',
      sizeBytes: null,
    })
    expect((await readdir(backupDisk, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())).toEqual([])
    expect(await shop.status(id)).toEqual({ status: 'RUNNING', statusMessage: null })
    expect(await query(url, 'select count(*)::int as n from kept')).toEqual([{ n: 50_000 }])
    expect(await query(url, 'select count(*)::int as n from pg_replication_slots')).toEqual([{ n: 0 }])
    execFileSync('mount', ['-o', 'remount,size=100m', backupDisk])
    await backups.verified(id)
  })

  it('a database whose changes can no longer be archived or written loses none, and continues to archive when there is room', async () => {
    const { id, url } = await shop.createDatabase('Filled up')
    // Without a backup, archived changes would be removed.
    await backups.stop()
    await query(url, `create table counted as select 0 as n, repeat('x', 1000) as text from generate_series(1, 2000)`)
    await fill(24 * megabyte)
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => {})
    await client.connect()
    let acknowledged = 0
    for (let failed = false; !failed; ) {
      await client.query('update counted set n = n + 1').then(
        () => acknowledged++,
        () => {
          failed = true
        },
      )
    }
    await client.end().catch(() => {})
    expect(acknowledged).toBeGreaterThan(0)

    await rm(ballast())
    const counted = await until('the database answers', () => query(url, 'select distinct n from counted').catch(() => null))
    expect([acknowledged, acknowledged + 1]).toContain(counted[0]?.n)
    const states = join(databaseDisk, decodeId('Database', id), 'data/pg_wal/archive_status')
    await until('the changes are archived again', async () => (await readdir(states)).every((name) => !name.endsWith('.ready')))
    backups.start()
  })

  it('a database that cannot be started says so, and starts when there is room', async () => {
    const { id, url } = await shop.createDatabase('Stopped')
    await query(url, 'create table kept as select 1 as n')
    const change = (what: string) => shop.run(`mutation ($id: ID!) { ${what}Database(input: {id: $id}) { database { id } } }`, { id })
    await change('stop')
    await shop.untilStatus(id, 'STOPPED')
    await fill(0)
    await change('start')
    await until('the reason is known', async () => (await shop.status(id))?.statusMessage?.includes('disk is full') ?? false)
    expect((await shop.status(id))?.status).toBe('FAILED')
    await rm(ballast())
    await shop.untilStatus(id, 'RUNNING')
    expect(await query(url, 'select n from kept')).toEqual([{ n: 1 }])
  })
})
