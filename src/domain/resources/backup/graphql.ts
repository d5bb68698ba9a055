import type { BackupSchedule as BackupScheduleRow } from '../../../generated/prisma/client.ts'
import {
  builder,
  columnsOf,
  connectionOf,
  enumType,
  findRelated,
  type GraphqlContext,
  idField,
  mutation,
  Node,
  nestedConnection,
  payloadOf,
  rootConnection,
  versionFields,
} from '../../../graphql/builder/index.ts'
import { demand } from '../../../platform/command.ts'
import { encodeId } from '../../../platform/id.ts'
import { Operation } from '../../access/operation/graphql.ts'
import { Database } from '../database/graphql.ts'
import { databaseListing } from '../database/index.ts'
import { createBackup, deleteBackup, setBackupSchedule } from './commands.ts'
import { backupListing, countBackups, findBackup, listBackups, schedulesByDatabase } from './queries.ts'
import { restoreBackup, restoreDatabase } from './restore.ts'
import { type RecoveryWindow, recoveryWindows } from './window.ts'

const BackupStatus = enumType('BackupStatus', 'Status of a backup.', {
  PENDING: 'Waiting to be taken.',
  RUNNING: 'Being taken.',
  STORED: 'Stored completely, and waiting to be verified.',
  VERIFIED: 'Stored, restored once, read completely and compared with the original.',
  FAILED: 'Could not be taken, or did not pass its verification. See `error`.',
})

const BackupTrigger = enumType('BackupTrigger', 'What started a backup.', {
  MANUAL: 'A request.',
  SCHEDULE: 'The schedule of the database.',
})

export const Backup = builder.prismaObject('Backup', {
  description: 'A backup of a database. Backups are kept when their database is deleted.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:backups',
  fields: (t) => ({
    id: t.id(idField('Backup')),
    database: t.field({
      type: Database,
      nullable: true,
      description: 'Database that was backed up. Null if it has been deleted.',
      select: { databaseId: true },
      resolve: ({ databaseId }, _args, context, info) => (databaseId ? findRelated(context, info, databaseListing, databaseId) : null),
    }),
    trigger: t.expose('trigger', { type: BackupTrigger, description: 'What started the backup.' }),
    status: t.expose('status', { type: BackupStatus, description: 'Status of the backup.' }),
    sizeBytes: t.exposeFloat('sizeBytes', {
      nullable: true,
      description: 'Size of the archive in bytes. Null before the backup is stored.',
    }),
    checksum: t.exposeString('checksum', {
      nullable: true,
      description: 'SHA-256 of the archive in hexadecimal. Null before the backup is stored.',
    }),
    postgresVersion: t.exposeString('postgresVersion', { description: 'Version of PostgreSQL.' }),
    startedAt: t.expose('startedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when the backup started. Null while it is pending.',
    }),
    finishedAt: t.expose('finishedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when the backup was stored or failed. Null while it is pending or in progress.',
    }),
    verifiedAt: t.expose('verifiedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when the backup was verified. Null before that.',
    }),
    error: t.exposeString('error', { nullable: true, description: 'Why the backup failed, or could not be verified yet. Null otherwise.' }),
    ...versionFields(t),
  }),
})

const backups = connectionOf(Backup, backupListing)
rootConnection(backups, {
  list: listBackups,
  count: countBackups,
  args: builder.args((t) => ({
    databaseId: t.id({ description: 'Return only backups of this database.' }),
    status: t.field({ type: [BackupStatus], description: 'Return only backups with one of these statuses.' }),
  })),
})
nestedConnection(Database, 'backups', backups, { by: 'databaseId', description: 'Backups of the database, newest first.' })

builder.queryField('backup', (t) =>
  t.field({
    type: Backup,
    nullable: true,
    description: 'Backup with the given ID. Null if it does not exist.',
    args: { id: t.arg.id({ required: true, description: 'ID of the backup.' }) },
    resolve: (_root, args, context, info) => context.call(findBackup, args, columnsOf(info, 'Backup')),
  }),
)

const BackupSchedule = builder.objectRef<BackupScheduleRow>('BackupSchedule').implement({
  description: 'When a database is backed up.',
  fields: (t) => ({
    cron: t.exposeString('cron', { description: 'Cron expression of five fields, in UTC.' }),
    enabled: t.exposeBoolean('enabled', { description: 'Whether backups are taken.' }),
    keep: t.exposeInt('keep', { description: 'Number of verified scheduled backups that are kept.' }),
    nextRunAt: t.expose('nextRunAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time of the next backup. Null if the schedule is disabled.',
    }),
  }),
})

const windowOf = (context: GraphqlContext, id: string): Promise<RecoveryWindow | null> => {
  demand(context.caller, 'view:backups')
  return context.load('recovery windows', id, (ids: readonly string[]) => recoveryWindows(context.app, context.app.db, ids))
}

builder.prismaObjectFields(Database, (t) => ({
  backupSchedule: t.field({
    type: BackupSchedule,
    nullable: true,
    description: 'When the database is backed up. Null if no schedule was set.',
    resolve: ({ id }, _args, context) => {
      demand(context.caller, 'view:backups')
      return context.load('backup schedules', id, (ids: readonly string[]) => schedulesByDatabase(context.app.db, ids))
    },
  }),
  recoverableFrom: t.field({
    type: 'DateTime',
    nullable: true,
    description: 'Earliest time to which the database can be restored. Null if it has no stored backup whose later changes are kept.',
    resolve: async ({ id }, _args, context) => (await windowOf(context, id))?.from ?? null,
  }),
  recoverableUntil: t.field({
    type: 'DateTime',
    nullable: true,
    description: 'Latest time to which the database can be restored. Null if it has no stored backup whose later changes are kept.',
    resolve: async ({ id }, _args, context) => (await windowOf(context, id))?.until ?? null,
  }),
}))

mutation(createBackup, {
  input: (t) => ({ databaseId: t.id({ required: true, description: 'ID of the database.' }) }),
  payload: payloadOf('backup', Backup, 'The backup, to be polled for its status.'),
})

mutation(deleteBackup, {
  versioned: true,
  input: (t) => ({ id: t.id({ required: true, description: 'ID of the backup.' }) }),
  payload: (t) => ({
    deletedId: t.id({ description: 'ID of the deleted backup.', resolve: (result) => encodeId('Backup', result.deletedId) }),
  }),
})

mutation(setBackupSchedule, {
  input: (t) => ({
    databaseId: t.id({ required: true, description: 'ID of the database.' }),
    cron: t.string({
      required: true,
      description: 'Cron expression of five fields, in UTC, such as `0 3 * * *`. Must not run more often than every 10 minutes.',
    }),
    enabled: t.boolean({ defaultValue: true, description: 'Whether backups are taken.' }),
    keep: t.int({ defaultValue: 7, description: 'Number of verified scheduled backups that are kept, from 1 to 100.' }),
  }),
  payload: payloadOf('database', Database, 'The database.'),
})

mutation(restoreBackup, {
  input: (t) => ({
    backupId: t.id({ required: true, description: 'ID of the backup.' }),
    name: t.string({
      description: 'Name of the new database, from 1 to 100 characters. Defaults to the name of the original and `(restored)`.',
    }),
  }),
  payload: (t) => ({
    database: t.field({ type: Database, description: 'The new database.', resolve: (result) => result.database }),
    operation: t.field({ type: Operation, description: 'Operation to poll for the progress.', resolve: (result) => result.operation }),
  }),
})

mutation(restoreDatabase, {
  input: (t) => ({
    databaseId: t.id({ required: true, description: 'ID of the database to restore from. It is not changed.' }),
    at: t.field({ type: 'DateTime', required: true, description: 'Time of the state to restore.' }),
    name: t.string({
      description: 'Name of the new database, from 1 to 100 characters. Defaults to the name of the original and `(restored)`.',
    }),
  }),
  payload: (t) => ({
    database: t.field({ type: Database, description: 'The new database.', resolve: (result) => result.database }),
    operation: t.field({ type: Operation, description: 'Operation to poll for the progress.', resolve: (result) => result.operation }),
  }),
})
