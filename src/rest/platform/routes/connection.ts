import { z } from 'zod'
import { connectToService } from '../../../domain/resources/resource-binding/index.ts'
import { commandRow, type Route } from '../../core/index.ts'
import { databaseSchemas as schemas } from '../database-bodies.ts'
import { type DatabaseKind, databaseKinds, targetTypeOf, targetWords } from '../vocabulary.ts'

const tag = 'Databases'

export const connectionRoutes: Route[] = [
  commandRow({
    id: 'connectDatabase',
    method: 'POST',
    path: '/web-services/{web_service_id}/connections',
    tag,
    summary: 'Connect a database to a web service',
    description:
      'The web service receives the URL of the database as a secret variable from the next deployment on: `DATABASE_URL` for PostgreSQL and `REDIS_URL` for Redis, unless `env_var_key` names another one.',
    words: databaseKinds,
    command: connectToService,
    params: { web_service_id: 'webServiceId' },
    body: {
      target_type: { to: 'type', read: targetTypeOf, schema: z.enum(targetWords) },
      target_id: 'resourceId',
      env_var_key: 'alias',
    },
    status: 201,
    schema: schemas.connection,
    reply: ({ resourceBinding }) => ({
      id: resourceBinding.id,
      target_type: databaseKinds[resourceBinding.resourceType as DatabaseKind],
      target_id: resourceBinding.resourceId,
      env_var_key: resourceBinding.variables[0]!,
    }),
  }),
]
