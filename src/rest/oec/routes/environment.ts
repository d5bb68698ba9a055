import { findEnvironment } from '../../../domain/apps/environment/index.ts'
import { queryRow, type Route } from '../../core/index.ts'
import { schemas } from '../bodies.ts'
import { oneEnvironment } from '../serialize.ts'

export const environmentRoutes: Route[] = [
  queryRow({
    id: 'getEnvironment',
    method: 'GET',
    path: '/environments/{environment_id}',
    tag: 'Environments',
    summary: 'Retrieve an environment',
    read: findEnvironment,
    params: { environment_id: 'id' },
    status: 200,
    schema: schemas.environment,
    reply: oneEnvironment,
    version: ({ version }) => version,
  }),
]
