import { builder, columnsOf, idField, mutation, Node, payloadOf, timestamps } from '../../../graphql/builder/index.ts'
import { createOrganization, updateOrganization } from './commands.ts'
import { currentOrganization } from './queries.ts'

export const Organization = builder.prismaObject('Organization', {
  description: 'Tenant that owns all other objects.',
  interfaces: [Node],
  select: { id: true },
  fields: (t) => ({
    id: t.id(idField('Organization')),
    name: t.exposeString('name', { description: 'Name of the organization.' }),
    slug: t.exposeString('slug', { description: 'Slug of the organization, unique within the installation.' }),
    version: t.exposeInt('version', { description: 'Version of the object, incremented by every change.' }),
    createdAt: t.expose('createdAt', timestamps.createdAt),
    updatedAt: t.expose('updatedAt', timestamps.updatedAt),
  }),
})

builder.queryField('organization', (t) =>
  t.field({
    type: Organization,
    description: 'Organization of the caller.',
    resolve: (_root, _args, context, info) => context.call(currentOrganization, {}, columnsOf(info, 'Organization')),
  }),
)

const slugRule = 'lowercase letters, digits and inner hyphens, at most 50 characters. Unique within the installation.'

mutation(createOrganization, {
  input: (t) => ({
    name: t.string({ required: true, description: 'Name of the organization, from 1 to 100 characters.' }),
    slug: t.string({
      description: `Slug of the organization: ${slugRule} Fails with \`slug_taken\` if another organization has this slug. When omitted, Quayside derives a free slug from the name.`,
    }),
  }),
  payload: payloadOf('organization', Organization, 'The created organization.'),
})

mutation(updateOrganization, {
  versioned: true,
  input: (t) => ({
    name: t.string({ description: 'New name of the organization, from 1 to 100 characters.' }),
    slug: t.string({
      description: `New slug of the organization: ${slugRule} Requests that send the former slug in \`X-Org-Slug\` fail from then on.`,
    }),
  }),
  payload: payloadOf('organization', Organization, 'The updated organization.'),
})
