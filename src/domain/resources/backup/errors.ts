import { defineErrors } from '../../../platform/errors.ts'

export const backupErrors = defineErrors({
  backup_in_progress: { kind: 'conflict', text: 'A backup of this database is already in progress.' },
  backup_not_usable: { kind: 'conflict', text: 'The backup is not stored. See its status and error.' },
  backup_damaged: { kind: 'unprocessable', text: 'The archive of the backup is missing or damaged.' },
  backup_in_use: { kind: 'conflict', text: 'The backup is being taken or restored. Retry when that has ended.' },
  database_not_running: { kind: 'conflict', text: 'The database is not running. Start it first.' },
  time_not_recoverable: { kind: 'unprocessable', text: 'The database cannot be restored to this time.' },
})
