import type { Environment as EnvironmentRow, Project as ProjectRow } from '../../../generated/prisma/client.ts'
import {
  builder,
  connection,
  connectionArgs,
  connectionType,
  gives,
  idField,
  mutation,
  Node,
  nestedConnection,
  registerNode,
  rowById,
  written,
} from '../../../graphql/builder/index.ts'
import { visible } from '../../../platform/command.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { EnvironmentType, Project } from '../project/graphql.ts'
import { createEnvironment, deleteEnvironment, updateEnvironment } from './commands.ts'
import { countEnvironments, environmentListing, findEnvironment, listEnvironments } from './queries.ts'

export const Environment = builder.prismaObject('Environment', {
  description: 'A stage of a project.',
  interfaces: [Node],
  authScopes: { permission: 'view:environments' },
  fields: (t) => ({
    id: t.id(idField('Environment')),
    name: t.exposeString('name', { description: 'Its name.' }),
    slug: t.exposeString('slug', { description: 'Its short name, unique in the project.' }),
    type: t.expose('type', { type: EnvironmentType, description: 'What it is for; fixed.' }),
    project: t.field({
      type: Project,
      description: 'Its project.',
      resolve: (environment, _args, context) => rowById<ProjectRow>(context, 'project', environment.projectId),
    }),
    ...written(t),
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
    description: 'Environments, of one project or of all that the caller may see.',
    args: { projectId: t.arg.id({ description: 'Only of this project.' }), ...connectionArgs },
    resolve: (_root, { projectId, ...page }, context) =>
      connection(
        () => context.call(listEnvironments, { projectId, ...page }),
        () => context.call(countEnvironments, { projectId }),
      ),
  }),
  environment: t.field({
    type: Environment,
    nullable: true,
    description: 'One environment.',
    args: { id: t.arg.id({ required: true, description: 'Its id.' }) },
    resolve: (_root, args, context) => context.call(findEnvironment, args),
  }),
}))

builder.prismaObjectField('Project', 'environments', (t) =>
  t.field({
    type: EnvironmentConnection,
    description: 'Its environments, oldest first.',
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
    projectId: t.id({ required: true, description: 'The project.' }),
    name: t.string({ required: true, description: 'Its name, 1 to 100 characters.' }),
    type: t.field({ type: EnvironmentType, required: true, description: 'What it is for; fixed afterwards.' }),
  }),
  payload: gives('environment', Environment, 'The environment.'),
})

mutation(updateEnvironment, {
  versioned: true,
  input: (t) => ({
    id: t.id({ required: true, description: 'The environment.' }),
    name: t.string({ description: 'Its new name.' }),
  }),
  payload: gives('environment', Environment, 'The environment.'),
})

mutation(deleteEnvironment, {
  versioned: true,
  input: (t) => ({
    id: t.id({ required: true, description: 'The environment.' }),
    cascade: t.boolean({ defaultValue: false, description: 'Delete what is inside, too.' }),
  }),
  payload: (t) => ({
    deletedId: t.id({ description: 'What was deleted.', resolve: (result) => encodeId('Environment', result.deletedId) }),
    environment: t.field({
      type: Environment,
      nullable: true,
      description: 'The environment while its content is being removed; null when it is gone already.',
      resolve: (result) => result.environment,
    }),
  }),
})
