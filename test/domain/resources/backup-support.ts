/** Backups in a shop: the disk store, the engine, and the queues that take, verify and restore. */
import { afterAll, beforeAll } from 'vitest'
import { backupEngine, backupStore } from '../../../src/domain/resources/backup/index.ts'
import { createBackupDisk } from '../../../src/drivers/backup-disk/index.ts'
import { createBackupEngine } from '../../../src/drivers/postgres/backup-engine.ts'
import type { ServerBackupOptions } from '../../../src/drivers/postgres/server-backup.ts'
import { startChore } from '../../../src/jobs/chore.ts'
import type { Loop } from '../../../src/jobs/loop.ts'
import { startQueue } from '../../../src/jobs/queue.ts'
import type { App } from '../../../src/platform/work.ts'
import { until } from '../../support/wait.ts'
import { ports, type Shop } from './support.ts'

const jobs = new Set([
  'backups',
  'backup verifications',
  'restores',
  'operations',
  'run backup schedules',
  'prune backups',
  'purge backups',
  'sweep leftovers of backups',
])

export type BackupRow = {
  status: string
  error: string | null
  sizeBytes: number | null
  checksum: string | null
  verifiedAt: string | null
  trigger: string
}

export type Backups = {
  create(databaseId: string): Promise<string>
  read(id: string): Promise<BackupRow | null>
  untilStatus(id: string, ...statuses: string[]): Promise<BackupRow>
  /** Creates a backup and waits until it is verified. */
  verified(databaseId: string): Promise<string>
  /** Waits until an operation has ended, and returns it. */
  ended(operationId: string): Promise<{ status: string; error: string | null; stepsCompleted: number; totalSteps: number }>
  start(): void
  stop(): Promise<void>
}

const noServer: ServerBackupOptions = { url: undefined, pgDump: undefined }

export function provideBackups(app: App, { reserveBytes = 0, server = noServer } = {}): void {
  const { DATA_DIR: dataDir, BACKUP_DIR: directory } = app.settings
  backupStore.provide(app, createBackupDisk({ directory, reserveBytes }))
  backupEngine.provide(app, createBackupEngine({ dataDir, ports, reserveBytes, server }))
}

export function useBackups(shop: Shop): Backups {
  const backups = {} as Backups
  let loops: Loop[] = []
  beforeAll(() => {
    const { app } = shop
    provideBackups(app)
    const read: Backups['read'] = async (id) =>
      (await shop.run('query ($id: ID!) { backup(id: $id) { status error sizeBytes checksum verifiedAt trigger } }', { id })).backup
    const untilStatus: Backups['untilStatus'] = async (id, ...statuses) => {
      await until(`the backup is ${statuses.join(' or ')}`, async () => {
        const found = await read(id)
        if (found?.status === 'FAILED' && !statuses.includes('FAILED'))
          throw new Error(`the backup failed: ${found.error} ${JSON.stringify(app.logged.filter(({ err }) => err).slice(-2))}`)
        return found !== null && statuses.includes(found.status)
      })
      return (await read(id))!
    }
    const create: Backups['create'] = async (databaseId) =>
      (await shop.run('mutation ($d: ID!) { createBackup(input: {databaseId: $d}) { backup { id } } }', { d: databaseId })).createBackup
        .backup.id
    const start = () => {
      loops = [
        ...app.domain.queues.filter(({ name }) => jobs.has(name)).map((queue) => startQueue(app, queue, app.processId)),
        ...app.domain.chores.filter(({ name }) => jobs.has(name)).map((chore) => startChore(app, chore)),
      ]
    }
    Object.assign(backups, {
      read,
      create,
      untilStatus,
      async verified(databaseId) {
        const id = await create(databaseId)
        await untilStatus(id, 'VERIFIED')
        return id
      },
      async ended(id) {
        const ask = async () =>
          (await shop.run('query ($id: ID!) { operation(id: $id) { status error stepsCompleted totalSteps } }', { id })).operation
        await until('the operation has ended', async () => ['COMPLETED', 'FAILED'].includes((await ask()).status))
        return ask()
      },
      start,
      async stop() {
        await Promise.all(loops.map((loop) => loop.stop(0)))
        loops = []
      },
    } satisfies Backups)
    start()
  })
  afterAll(() => backups.stop?.())
  return backups
}
