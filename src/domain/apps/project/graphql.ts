import {
  builder,
  columnsOf,
  connectionOf,
  enumType,
  findRelated,
  idField,
  loadRows,
  mutation,
  Node,
  payloadOf,
  rootConnection,
  versionFields,
} from '../../../graphql/builder/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { ApiKey } from '../../access/api-key/graphql.ts'
import { Invitation } from '../../access/invitation/graphql.ts'
import { Member } from '../../access/member/graphql.ts'
import { createProject, deleteProject, updateProject } from './commands.ts'
import { fallbackOf, type ScopeFallback } from './fallback.ts'
import { countProjects, findProject, listProjects, projectListing, projectsByInvitation, projectsByMember } from './queries.ts'

export const EnvironmentType = enumType('EnvironmentType', 'Type of an environment.', {
  PRODUCTION: 'Environment that serves users.',
  STAGING: 'Environment for testing changes before they go to production.',
  DEVELOPMENT: 'Environment for work in progress.',
})

export const FallbackMode = enumType('FallbackMode', 'Behavior when a secret has no value at the scope of the environment.', {
  ALLOW: 'Use a value of a fallback scope, without a warning.',
  WARN: 'Use a value of a fallback scope, and add a warning.',
  STRICT: 'Do not use fallback scopes. A deployment fails with `CONFIG_UNRESOLVED` when a value is missing.',
})

const SecretFallback = builder.objectRef<ScopeFallback>('SecretFallback').implement({
  description: 'Secret fallback for environments of one type.',
  fields: (t) => ({
    scope: t.expose('scope', { type: EnvironmentType, description: 'Type of the environments that this setting applies to.' }),
    chain: t.expose('chain', { type: [EnvironmentType], description: "Scopes to try after the environment's own, in order." }),
    mode: t.expose('mode', { type: FallbackMode, description: 'Whether and how secrets fall back.' }),
  }),
})

const SecretFallbackInput = builder.inputType('SecretFallbackInput', {
  description: 'Secret fallback for environments of one type.',
  fields: (t) => ({
    scope: t.field({ type: EnvironmentType, required: true, description: 'Type of the environments that this setting applies to.' }),
    chain: t.field({
      type: [EnvironmentType],
      required: true,
      description:
        "Scopes to try after the environment's own, in order. Only lower scopes are allowed, each once: staging and development are lower than production, development is lower than staging.",
    }),
    mode: t.field({ type: FallbackMode, required: true, description: 'Whether and how secrets fall back.' }),
  }),
})

export const Project = builder.prismaObject('Project', {
  description: 'A group of related environments, services and secrets.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:projects',
  fields: (t) => ({
    id: t.id(idField('Project')),
    name: t.exposeString('name', { description: 'Name of the project.' }),
    slug: t.exposeString('slug', { description: 'Slug of the project, unique within the organization.' }),
    description: t.exposeString('description', { nullable: true, description: 'Description of the project.' }),
    secretFallback: t.field({
      type: [SecretFallback],
      description: 'Secret fallback of the project, one entry for each type of environment.',
      select: { secretFallback: true },
      resolve: (project) => Object.values(fallbackOf(project)),
    }),
    ...versionFields(t),
  }),
})

export const projectConnection = connectionOf(Project, projectListing)
rootConnection(projectConnection, { list: listProjects, count: countProjects })

builder.queryField('project', (t) =>
  t.field({
    type: Project,
    nullable: true,
    description: 'Project with the given ID or slug. Exactly one of the two is required. Null if the project does not exist.',
    args: { id: t.arg.id({ description: 'ID of the project.' }), slug: t.arg.string({ description: 'Slug of the project.' }) },
    resolve: (_root, args, context, info) => context.call(findProject, args, columnsOf(info, 'Project')),
  }),
)

builder.prismaObjectField(ApiKey, 'project', (t) =>
  t.field({
    type: Project,
    nullable: true,
    description: 'Project that the key is restricted to. Null means the key has access to all projects.',
    select: { projectId: true },
    resolve: (key, _args, context, info) => (key.projectId ? findRelated(context, info, projectListing, key.projectId) : null),
  }),
)

builder.prismaObjectField(Member, 'projects', (t) =>
  t.field({
    type: [Project],
    nullable: true,
    extensions: { rows: 10 },
    description: 'Projects that the member is limited to, oldest first. Null means the member can access all projects.',
    select: { id: true, projectsLimited: true },
    resolve: ({ id, projectsLimited }, _args, context, info) =>
      projectsLimited ? loadRows(context, 'Member.projects', id, columnsOf(info, 'Project'), projectsByMember) : null,
  }),
)

builder.prismaObjectField(Invitation, 'projects', (t) =>
  t.field({
    type: [Project],
    nullable: true,
    extensions: { rows: 10 },
    description: 'Projects that the member will be limited to, oldest first. Null means the member will have access to all projects.',
    select: { id: true, projectsLimited: true },
    resolve: ({ id, projectsLimited }, _args, context, info) =>
      projectsLimited ? loadRows(context, 'Invitation.projects', id, columnsOf(info, 'Project'), projectsByInvitation) : null,
  }),
)

mutation(createProject, {
  input: (t) => ({
    name: t.string({ required: true, description: 'Name of the project, from 1 to 100 characters.' }),
    slug: t.string({
      description:
        'Slug of the project: lowercase letters, digits and inner hyphens, at most 50 characters. Fails with `slug_taken` if another project has this slug. When omitted, Quayside derives a free slug from the name.',
    }),
    description: t.string({ description: 'Description of the project, at most 2000 characters.' }),
  }),
  payload: payloadOf('project', Project, 'The created project.'),
})

mutation(updateProject, {
  versioned: true,
  input: (t) => ({
    id: t.id({ required: true, description: 'ID of the project.' }),
    name: t.string({ description: 'New name of the project, from 1 to 100 characters.' }),
    description: t.string({ description: 'New description of the project, at most 2000 characters. Null clears it.' }),
    secretFallback: t.field({
      type: [SecretFallbackInput],
      description: 'New secret fallback. Types that are not listed keep their current setting. Null restores the defaults of all types.',
    }),
  }),
  payload: payloadOf('project', Project, 'The updated project.'),
})

mutation(deleteProject, {
  versioned: true,
  input: (t) => ({
    id: t.id({ required: true, description: 'ID of the project.' }),
    cascade: t.boolean({
      defaultValue: false,
      description:
        'Whether to delete the contents of the project too. If false, the mutation fails with `not_empty` when the project contains services or secrets.',
    }),
  }),
  payload: (t) => ({
    deletedId: t.id({ description: 'ID of the deleted project.', resolve: (result) => encodeId('Project', result.deletedId) }),
  }),
})
