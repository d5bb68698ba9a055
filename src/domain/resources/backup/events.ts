import { z } from 'zod'
import type { Backup } from '../../../generated/prisma/client.ts'
import { defineEvent } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'

const payload = z.object({
  backupId: z.string().describe('ID of the backup.'),
  databaseId: z.string().nullable().describe('ID of the database. Null if it has been deleted.'),
  projectId: z.string().describe('ID of the project.'),
  trigger: z.enum(['MANUAL', 'SCHEDULE']).describe('What started the backup.'),
  status: z.enum(['STORED', 'VERIFIED', 'FAILED']).describe('Status of the backup.'),
  sizeBytes: z.number().nullable().describe('Size of the archive in bytes. Null if nothing was stored.'),
  checksum: z.string().nullable().describe('SHA-256 of the archive in hexadecimal. Null if nothing was stored.'),
  error: z.string().nullable().describe('Why the backup failed. Null for other events than `backup.failed`.'),
})
type Payload = z.infer<typeof payload>

const sample: Payload = {
  backupId: 'bkp_01h455vb4pex5vsknk084sn02q',
  databaseId: 'db_01h455vb4pex5vsknk084sn02q',
  projectId: 'proj_01h455vb4pex5vsknk084sn02q',
  trigger: 'SCHEDULE',
  status: 'STORED',
  sizeBytes: 4_718_592,
  checksum: '2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae',
  error: null,
}

const backupEvent = (name: string, description: string, data: Payload) =>
  defineEvent({ type: `backup.${name}`, version: 1, description, subject: 'Backup', schema: payload, sample: data })

export const backupEvents = {
  completed: backupEvent(
    'completed',
    'A backup is stored. `backup.verified` or `backup.failed` follows when it has been restored once.',
    sample,
  ),
  verified: backupEvent('verified', 'A backup was restored, read completely and compared with the original.', {
    ...sample,
    status: 'VERIFIED',
  }),
  failed: backupEvent('failed', 'A backup could not be taken, or it did not pass its verification.', {
    ...sample,
    status: 'FAILED',
    sizeBytes: null,
    checksum: null,
    error: 'The database is not running.',
  }),
}

export const allBackupEvents = Object.values(backupEvents)

export const eventOf = (backup: Backup) => ({
  subjectId: backup.id,
  projectId: backup.projectId,
  data: {
    backupId: encodeId('Backup', backup.id),
    databaseId: backup.databaseId && encodeId('Database', backup.databaseId),
    projectId: encodeId('Project', backup.projectId),
    trigger: backup.trigger,
    status: backup.status as Payload['status'],
    sizeBytes: backup.sizeBytes,
    checksum: backup.checksum,
    error: backup.error,
  },
})
