import { currentApiKey } from '../../../domain/access/api-key/index.ts'
import { currentUser } from '../../../domain/access/user/index.ts'
import { queryRow, type Route } from '../../core/index.ts'
import { apiKeyBody, accountSchemas as schemas, userBody } from '../account-bodies.ts'

const tag = 'Account'

export const accountRoutes: Route[] = [
  queryRow({
    id: 'getCurrentUser',
    method: 'GET',
    path: '/users/me',
    tag,
    summary: 'Retrieve the current user',
    description: 'Returns the user who is signed in, or who created the API key.',
    read: currentUser,
    status: 200,
    schema: schemas.user,
    reply: userBody,
    version: ({ version }) => version,
  }),
  queryRow({
    id: 'getCurrentApiKey',
    method: 'GET',
    path: '/users/me/api-key',
    tag,
    summary: 'Retrieve the current API key',
    description: 'Returns the API key that authenticates the request. Answers 404 to a user who is signed in.',
    read: currentApiKey,
    status: 200,
    schema: schemas.apiKey,
    reply: apiKeyBody,
  }),
]
