import { currentOrganization, updateOrganization } from '../../../domain/access/organization/index.ts'
import { deleteOrganization } from '../../../domain/access/organization-deletion/index.ts'
import { commandRow, queryRow, type Route } from '../../core/index.ts'
import { accepted } from '../field.ts'
import { organizationBody, organizationSchemas as schemas } from '../organization-bodies.ts'

const tag = 'Organization'
const path = '/org'

export const organizationRoutes: Route[] = [
  queryRow({
    id: 'getOrganization',
    method: 'GET',
    path,
    tag,
    summary: 'Retrieve the organization',
    read: currentOrganization,
    status: 200,
    schema: schemas.organization,
    reply: organizationBody,
    version: ({ version }) => version,
  }),
  commandRow({
    id: 'updateOrganization',
    method: 'PUT',
    path,
    tag,
    summary: 'Update the organization',
    description: 'Omitted fields keep their value. With a new slug, requests must name the organization by it from then on.',
    command: updateOrganization,
    body: { name: 'name', slug: 'slug' },
    status: 200,
    schema: schemas.organization,
    reply: ({ organization }) => organizationBody(organization),
    version: ({ organization }) => organization.version,
  }),
  commandRow({
    id: 'deleteOrganization',
    method: 'DELETE',
    path,
    tag,
    summary: 'Delete the organization',
    description:
      'Deletes the organization with everything in it, in the background. Nothing can be restored. All its API keys and sessions stop working at once. The last organization of the installation cannot be deleted.',
    command: deleteOrganization,
    headerFields: {
      'x-org-slug': {
        to: 'confirmSlug',
        required: true,
        description: 'Slug of the organization, which confirms the deletion. Required with an API key too.',
      },
    },
    status: 202,
    schema: accepted,
    reply: ({ operation }) => ({ id: operation.id, status: 'deleting', message: 'Organization deletion in progress' }),
  }),
]
