import { z } from 'zod'
import type { DatabaseReplica } from '../../../generated/prisma/client.ts'
import { encodeId } from '../../../platform/id.ts'
import { lifecycleEvents } from '../resource/index.ts'

const events = lifecycleEvents({
  name: 'database_replica',
  subject: 'DatabaseReplica',
  noun: 'replica',
  fields: {
    databaseReplicaId: z.string().describe('ID of the replica.'),
    databaseId: z.string().describe('ID of the database that the replica follows.'),
    projectId: z.string().describe('ID of the project.'),
    environmentId: z.string().describe('ID of the environment.'),
  },
  sample: {
    databaseReplicaId: 'dbreplica_01h455vb4pex5vsknk084sn02q',
    databaseId: 'db_01h455vb4pex5vsknk084sn02q',
    projectId: 'proj_01h455vb4pex5vsknk084sn02q',
    environmentId: 'env_01h455vb4pex5vsknk084sn02q',
  },
})

export const { created: replicaCreated, supervised: replicaEvents } = events

export const eventOf = (replica: DatabaseReplica, message: string | null = null) => ({
  subjectId: replica.id,
  projectId: replica.projectId,
  data: {
    databaseReplicaId: encodeId('DatabaseReplica', replica.id),
    databaseId: encodeId('Database', replica.databaseId),
    projectId: encodeId('Project', replica.projectId),
    environmentId: encodeId('Environment', replica.environmentId),
    message,
  },
})
