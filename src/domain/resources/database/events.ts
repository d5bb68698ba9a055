import type { Database } from '../../../generated/prisma/client.ts'
import { encodeId } from '../../../platform/id.ts'
import { lifecycleEvents, namedFields } from '../resource/index.ts'

const events = lifecycleEvents({
  name: 'database',
  subject: 'Database',
  noun: 'database',
  fields: namedFields('database', 'databaseId'),
  sample: {
    databaseId: 'db_01h455vb4pex5vsknk084sn02q',
    projectId: 'proj_01h455vb4pex5vsknk084sn02q',
    environmentId: 'env_01h455vb4pex5vsknk084sn02q',
    name: 'Shop',
    slug: 'shop',
  },
})

export const { created: databaseCreated, supervised: databaseEvents } = events
export const databaseUpdated = events.define('updated', 'The name, the settings or the password of a database changed.')

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
