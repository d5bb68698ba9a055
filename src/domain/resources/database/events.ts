import { z } from 'zod'
import type { Database } from '../../../generated/prisma/client.ts'
import { defineEvent } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'

const payload = z.object({
  databaseId: z.string().describe('ID of the database.'),
  projectId: z.string().describe('ID of the project.'),
  environmentId: z.string().describe('ID of the environment.'),
  name: z.string().describe('Name of the database.'),
  slug: z.string().describe('Slug of the database.'),
  message: z.string().nullable().describe('Why the database is not running. Null for other events than `database.failed`.'),
})
const sample = {
  databaseId: 'db_01h455vb4pex5vsknk084sn02q',
  projectId: 'proj_01h455vb4pex5vsknk084sn02q',
  environmentId: 'env_01h455vb4pex5vsknk084sn02q',
  name: 'Shop',
  slug: 'shop',
  message: null,
}

const databaseEvent = (name: string, description: string, data: z.infer<typeof payload> = sample) =>
  defineEvent({ type: `database.${name}`, version: 1, description, subject: 'Database', schema: payload, sample: data })

export const databaseCreated = databaseEvent('created', 'A database was created. `database.started` follows when it is running.')
export const databaseUpdated = databaseEvent('updated', 'The name, the settings or the password of a database changed.')
export const databaseEvents = {
  started: databaseEvent('started', 'A database is running, after its creation or a start.'),
  restarted: databaseEvent('restarted', 'A database was restarted and is running.'),
  stopped: databaseEvent('stopped', 'A database was stopped.'),
  failed: databaseEvent('failed', 'A database exited unexpectedly or could not be started. It is started again automatically.', {
    ...sample,
    message: 'The database exited unexpectedly. It is being restarted.',
  }),
  recovered: databaseEvent('recovered', 'A failed database is running again.'),
  deleted: databaseEvent('deleted', 'A database was deleted with its data.'),
}

export const eventOf = (database: Database, message: string | null = null) => ({
  subjectId: database.id,
  projectId: database.projectId,
  data: {
    databaseId: encodeId('Database', database.id),
    projectId: encodeId('Project', database.projectId),
    environmentId: encodeId('Environment', database.environmentId),
    name: database.name,
    slug: database.slug,
    message,
  },
})
