import {
  builder,
  columnsOf,
  connectionOf,
  findRelated,
  idField,
  mutation,
  Node,
  nestedConnection,
  payloadOf,
  rootConnection,
  versionFields,
} from '../../../graphql/builder/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { EnvironmentType, Project } from '../project/graphql.ts'
import { projectListing } from '../project/index.ts'
import { createEnvironment, deleteEnvironment, updateEnvironment } from './commands.ts'
import { countEnvironments, environmentListing, findEnvironment, listEnvironments } from './queries.ts'

export const Environment = builder.prismaObject('Environment', {
  description: 'A stage of a project, such as production or staging. It groups services.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:environments',
  fields: (t) => ({
    id: t.id(idField('Environment')),
    name: t.exposeString('name', { description: 'Name of the environment.' }),
    slug: t.exposeString('slug', { description: 'Slug of the environment, unique within the project.' }),
    type: t.expose('type', { type: EnvironmentType, description: 'Type of the environment. Cannot be changed.' }),
    project: t.field({
      type: Project,
      description: 'Project that contains the environment.',
      select: { projectId: true },
      resolve: ({ projectId }, _args, context, info) => findRelated(context, info, projectListing, projectId),
    }),
    ...versionFields(t),
  }),
})

const environments = connectionOf(Environment, environmentListing)
rootConnection(environments, {
  list: listEnvironments,
  count: countEnvironments,
  args: builder.args((t) => ({ projectId: t.id({ description: 'Return only environments of this project.' }) })),
})
nestedConnection(Project, 'environments', environments, { by: 'projectId', description: 'Environments of the project, oldest first.' })

builder.queryField('environment', (t) =>
  t.field({
    type: Environment,
    nullable: true,
    description: 'Environment with the given ID. Null if it does not exist.',
    args: { id: t.arg.id({ required: true, description: 'ID of the environment.' }) },
    resolve: (_root, args, context, info) => context.call(findEnvironment, args, columnsOf(info, 'Environment')),
  }),
)

mutation(createEnvironment, {
  input: (t) => ({
    projectId: t.id({ required: true, description: 'ID of the project.' }),
    name: t.string({ required: true, description: 'Name of the environment, from 1 to 100 characters.' }),
    type: t.field({ type: EnvironmentType, required: true, description: 'Type of the environment. Cannot be changed later.' }),
  }),
  payload: payloadOf('environment', Environment, 'The created environment.'),
})

mutation(updateEnvironment, {
  versioned: true,
  input: (t) => ({
    id: t.id({ required: true, description: 'ID of the environment.' }),
    name: t.string({ description: 'New name of the environment, from 1 to 100 characters.' }),
  }),
  payload: payloadOf('environment', Environment, 'The updated environment.'),
})

mutation(deleteEnvironment, {
  versioned: true,
  input: (t) => ({
    id: t.id({ required: true, description: 'ID of the environment.' }),
    cascade: t.boolean({
      defaultValue: false,
      description:
        'Whether to delete the services of the environment too. If false, the mutation fails with `not_empty` when there are any.',
    }),
    keepProduction: t.boolean({
      defaultValue: false,
      description: 'Whether the mutation fails with `production_environment` if the type of the environment is `PRODUCTION`.',
    }),
  }),
  payload: (t) => ({
    deletedId: t.id({ description: 'ID of the deleted environment.', resolve: (result) => encodeId('Environment', result.deletedId) }),
    environment: t.field({
      type: Environment,
      nullable: true,
      description: 'The environment while its services are being deleted. Null if it has already been removed.',
      resolve: (result) => result.environment,
    }),
  }),
})
