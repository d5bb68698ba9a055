import type { Environment as EnvironmentRow, Project as ProjectRow } from '../../../generated/prisma/client.ts'
import {
  builder,
  connection,
  connectionArgs,
  connectionType,
  idField,
  mutation,
  Node,
  nestedConnection,
  payloadOf,
  registerNode,
  rowById,
  versionFields,
} from '../../../graphql/builder/index.ts'
import { visible } from '../../../platform/command.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { EnvironmentType, Project } from '../project/graphql.ts'
import { createEnvironment, deleteEnvironment, updateEnvironment } from './commands.ts'
import { countEnvironments, environmentListing, findEnvironment, listEnvironments } from './queries.ts'

export const Environment = builder.prismaObject('Environment', {
  description: 'A stage of a project, such as production or staging. It groups services.',
  interfaces: [Node],
  authScopes: { permission: 'view:environments' },
  fields: (t) => ({
    id: t.id(idField('Environment')),
    name: t.exposeString('name', { description: 'Name of the environment.' }),
    slug: t.exposeString('slug', { description: 'Slug of the environment, unique within the project.' }),
    type: t.expose('type', { type: EnvironmentType, description: 'Type of the environment. Cannot be changed.' }),
    project: t.field({
      type: Project,
      description: 'Project that contains the environment.',
      resolve: (environment, _args, context) => rowById<ProjectRow>(context, 'project', environment.projectId),
    }),
    ...versionFields(t),
  }),
})

export const EnvironmentConnection = connectionType<EnvironmentRow>(Environment as never, 'Environment', 'Environment')

registerNode('Environment', (context, ids) =>
  rows<EnvironmentRow>(
    context.app.db.prisma,
    sql`select e.* from environment e where e.id = any(${ids}::uuid[]) and ${visible(context.caller, sql`e`)}`,
  ),
)

builder.queryFields((t) => ({
  environments: t.field({
    type: EnvironmentConnection,
    description: 'Environments visible to the caller, oldest first.',
    args: { projectId: t.arg.id({ description: 'Return only environments of this project.' }), ...connectionArgs },
    resolve: (_root, { projectId, ...page }, context) =>
      connection(
        () => context.call(listEnvironments, { projectId, ...page }),
        () => context.call(countEnvironments, { projectId }),
      ),
  }),
  environment: t.field({
    type: Environment,
    nullable: true,
    description: 'Environment with the given ID. Null if it does not exist.',
    args: { id: t.arg.id({ required: true, description: 'ID of the environment.' }) },
    resolve: (_root, args, context) => context.call(findEnvironment, args),
  }),
}))

builder.prismaObjectField('Project', 'environments', (t) =>
  t.field({
    type: EnvironmentConnection,
    description: 'Environments of the project, oldest first.',
    args: connectionArgs,
    resolve: (project, args, context) =>
      nestedConnection<EnvironmentRow>(context, project.id, args, {
        name: 'Project.environments',
        permission: 'view:environments',
        listing: ({ caller }) => environmentListing(caller),
        parent: sql`t.project_id`,
      }),
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
