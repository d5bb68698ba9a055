import type { Project as ProjectRow } from '../../../generated/prisma/client.ts'
import {
  builder,
  connection,
  connectionArgs,
  connectionType,
  enumType,
  gives,
  idField,
  mutation,
  Node,
  registerNode,
  rowById,
  written,
} from '../../../graphql/builder/index.ts'
import { visible } from '../../../platform/command.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { encodeId } from '../../../platform/id.ts'
import '../../access/api-key/graphql.ts'
import { createProject, deleteProject, updateProject } from './commands.ts'
import { fallbackOf, type ScopeFallback } from './fallback.ts'
import { countProjects, findProject, listProjects } from './queries.ts'

export const EnvironmentType = enumType('EnvironmentType', 'What an environment is for.', {
  PRODUCTION: 'For users.',
  STAGING: 'For trying what goes to production.',
  DEVELOPMENT: 'For work in progress.',
})

export const FallbackMode = enumType('FallbackMode', 'What happens when a scope has no value of its own.', {
  ALLOW: 'Falls back silently.',
  WARN: 'Falls back with a warning.',
  STRICT: 'Does not fall back: a deployment fails.',
})

const SecretFallback = builder.objectRef<ScopeFallback>('SecretFallback').implement({
  description: 'How secrets fall back in environments of one type.',
  fields: (t) => ({
    scope: t.expose('scope', { type: EnvironmentType, description: 'The type of the environment.' }),
    chain: t.expose('chain', { type: [EnvironmentType], description: 'The scopes tried after its own, in order.' }),
    mode: t.expose('mode', { type: FallbackMode, description: 'Whether it falls back.' }),
  }),
})

const SecretFallbackInput = builder.inputType('SecretFallbackInput', {
  description: 'How secrets fall back in environments of one type.',
  fields: (t) => ({
    scope: t.field({ type: EnvironmentType, required: true, description: 'The type of the environment.' }),
    chain: t.field({
      type: [EnvironmentType],
      required: true,
      description: 'The scopes tried after its own, in order: lower ones, each once.',
    }),
    mode: t.field({ type: FallbackMode, required: true, description: 'Whether it falls back.' }),
  }),
})

export const Project = builder.prismaObject('Project', {
  description: 'A group of environments that belong together.',
  interfaces: [Node],
  authScopes: { permission: 'view:projects' },
  fields: (t) => ({
    id: t.id(idField('Project')),
    name: t.exposeString('name', { description: 'Its name.' }),
    slug: t.exposeString('slug', { description: 'Its short name, unique in the organization.' }),
    description: t.exposeString('description', { nullable: true, description: 'What it is about.' }),
    secretFallback: t.field({
      type: [SecretFallback],
      description: 'How its secrets fall back, for each type of environment.',
      resolve: (project) => Object.values(fallbackOf(project)),
    }),
    ...written(t),
  }),
})

export const ProjectConnection = connectionType<ProjectRow>(Project as never, 'Project', 'Project')

registerNode('Project', (context, ids) =>
  rows<ProjectRow>(
    context.app.db.prisma,
    sql`select p.* from project p where p.id = any(${ids}::uuid[]) and ${visible(context.caller, sql`p`, sql`id`)}`,
  ),
)

builder.queryFields((t) => ({
  projects: t.field({
    type: ProjectConnection,
    description: 'The projects that the caller may see.',
    args: connectionArgs,
    resolve: (_root, args, context) =>
      connection(
        () => context.call(listProjects, args),
        () => context.call(countProjects, {}),
      ),
  }),
  project: t.field({
    type: Project,
    nullable: true,
    description: 'One project by id or slug.',
    args: { id: t.arg.id({ description: 'Its id.' }), slug: t.arg.string({ description: 'Its slug.' }) },
    resolve: (_root, args, context) => context.call(findProject, args),
  }),
}))

builder.prismaObjectField('ApiKey', 'project', (t) =>
  t.field({
    type: Project,
    nullable: true,
    description: 'The only project that the key sees; null: all of them.',
    resolve: (key, _args, context) => (key.projectId ? rowById<ProjectRow>(context, 'project', key.projectId) : null),
  }),
)

mutation(createProject, {
  input: (t) => ({
    name: t.string({ required: true, description: 'Its name, 1 to 100 characters.' }),
    slug: t.string({ description: 'Its short name; made from the name when absent.' }),
    description: t.string({ description: 'What it is about, at most 2000 characters.' }),
  }),
  payload: gives('project', Project, 'The project.'),
})

mutation(updateProject, {
  versioned: true,
  input: (t) => ({
    id: t.id({ required: true, description: 'The project.' }),
    name: t.string({ description: 'Its new name.' }),
    description: t.string({ description: 'What it is about; null clears it.' }),
    secretFallback: t.field({
      type: [SecretFallbackInput],
      description: 'How its secrets fall back. A type that is left out keeps what it has; null brings the defaults back.',
    }),
  }),
  payload: gives('project', Project, 'The project.'),
})

mutation(deleteProject, {
  versioned: true,
  input: (t) => ({
    id: t.id({ required: true, description: 'The project.' }),
    cascade: t.boolean({ defaultValue: false, description: 'Delete what is inside, too.' }),
  }),
  payload: (t) => ({ deletedId: t.id({ description: 'What was deleted.', resolve: (result) => encodeId('Project', result.deletedId) }) }),
})
