import { z } from 'zod'
import {
  createSecret,
  deleteSecret,
  revealSecret,
  setSecrets,
  sliceSecrets,
  updateSecret,
} from '../../../domain/configuration/secret/index.ts'
import { commandRow, queryRow, type Route, type Source, type Sources, trueOrFalse } from '../../core/index.ts'
import { configurationSchemas as schemas, secretBody } from '../configuration-bodies.ts'
import { oneSecret, secretBodies } from '../serialize.ts'
import { scopes } from '../vocabulary.ts'
import { bulkText, writeMode } from './write-mode.ts'

const tag = 'Secrets'
const ofProject = { project_id: 'projectId' }
const one = { ...ofProject, secret_id: 'id' }
const scope: Source = { to: 'scope', words: scopes, schema: z.enum(['production', 'staging', 'development']) }
const flags: Sources = {
  is_secret: {
    to: 'isSecret',
    description: 'Whether the value is secret. Defaults to true for a new secret. When omitted, an existing secret keeps its setting.',
  },
}
const secretFields: Sources = { key: 'key', value: 'value', scope: { ...scope, fallback: 'production' }, ...flags }

export const secretRoutes: Route[] = [
  queryRow({
    id: 'listSecrets',
    method: 'GET',
    path: '/projects/{project_id}/secrets',
    tag,
    summary: 'List secrets',
    read: sliceSecrets,
    params: ofProject,
    query: { scope: { ...scope, description: 'Return only secrets of this scope.' } },
    page: { size: null },
    status: 200,
    schema: schemas.secretList,
    reply: async ({ rows, total }, view) => ({ secrets: await secretBodies(rows, view), total }),
  }),
  commandRow({
    id: 'createSecret',
    method: 'POST',
    path: '/projects/{project_id}/secrets',
    tag,
    summary: 'Create a secret',
    description: 'A web service receives the secret only through a binding.',
    command: createSecret,
    params: ofProject,
    body: secretFields,
    status: 201,
    schema: schemas.secret,
    reply: ({ secret }, view) => oneSecret(secret, view),
    version: ({ secret }) => secret.version,
  }),
  commandRow({
    id: 'setSecrets',
    method: 'PUT',
    path: '/projects/{project_id}/secrets/bulk',
    tag,
    summary: 'Create or update secrets',
    description: bulkText,
    command: setSecrets,
    params: ofProject,
    query: writeMode,
    body: { secrets: { to: 'secrets', items: secretFields } },
    status: 200,
    schema: schemas.secretList,
    reply: async ({ secrets }, view) => ({ secrets: await secretBodies(secrets, view), total: secrets.length }),
  }),
  commandRow({
    id: 'updateSecret',
    method: 'PATCH',
    path: '/projects/{project_id}/secrets/{secret_id}',
    tag,
    summary: 'Update a secret',
    description: 'A new value creates a new version; an equal value creates none.',
    command: updateSecret,
    params: one,
    body: { value: 'value', ...flags },
    status: 200,
    schema: schemas.secret,
    reply: ({ secret }, view) => oneSecret(secret, view),
    version: ({ secret }) => secret.version,
  }),
  commandRow({
    id: 'deleteSecret',
    method: 'DELETE',
    path: '/projects/{project_id}/secrets/{secret_id}',
    tag,
    summary: 'Delete a secret',
    command: deleteSecret,
    words: scopes,
    params: one,
    query: {
      force: {
        to: 'force',
        read: trueOrFalse,
        fallback: false,
        schema: z.boolean(),
        description: "Whether to delete the secret's bindings too. If false, the request fails with a conflict when there are any.",
      },
    },
    status: 204,
  }),
  commandRow({
    id: 'revealSecret',
    method: 'GET',
    path: '/projects/{project_id}/secrets/{secret_id}/reveal',
    tag,
    summary: 'Reveal a secret',
    description: 'Returns the newest value in plaintext. Reveals are audited and limited per minute.',
    command: revealSecret,
    reveals: true,
    params: one,
    status: 200,
    schema: schemas.secret,
    reply: ({ secret, value }) => secretBody(secret, value!),
  }),
]
