import type { Environment as EnvironmentRow, Project as ProjectRow, WebService as WebServiceRow } from '../../../generated/prisma/client.ts'
import {
  builder,
  connection,
  connectionArgs,
  connectionType,
  enumType,
  type GraphqlContext,
  gives,
  type InputBuilder,
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
import { Environment } from '../environment/graphql.ts'
import { Project } from '../project/graphql.ts'
import { createWebService, deleteWebService, restartWebService, startWebService, stopWebService, updateWebService } from './commands.ts'
import { countWebServices, findWebService, listWebServices, webServiceListing } from './queries.ts'

export const WebServiceKind = enumType('WebServiceKind', 'What a service is.', {
  WEB: 'Answers HTTP requests.',
  STATIC_SITE: 'Files, served by the router.',
  WORKER: 'Runs without being reachable.',
  ODOO: 'An Odoo instance. Not served yet.',
})

export const DesiredState = enumType('DesiredState', 'What is wanted of a service; what is, stands in `status`.', {
  RUNNING: 'It should run.',
  STOPPED: 'It should not run.',
  DELETED: 'It is being removed.',
})

export const QueuePolicy = enumType('QueuePolicy', 'What happens to a deployment that is asked for while another one runs.', {
  QUEUE_LATEST: 'It waits; a newer one displaces it.',
  QUEUE_ALL: 'All wait, in order.',
  REJECT: 'It is refused with `deployment_in_progress`.',
})

export const WebService = builder.prismaObject('WebService', {
  description: 'Something that is built from a repository and kept online.',
  interfaces: [Node],
  authScopes: { permission: 'view:web_services' },
  fields: (t) => ({
    id: t.id(idField('WebService')),
    name: t.exposeString('name', { description: 'Its name.' }),
    slug: t.exposeString('slug', { description: 'The first label of its host name; unique in the installation.' }),
    kind: t.expose('kind', { type: WebServiceKind, description: 'What it is; fixed.' }),
    project: t.field({
      type: Project,
      description: 'Its project.',
      resolve: (service, _args, context) => rowById<ProjectRow>(context, 'project', service.projectId),
    }),
    environment: t.field({
      type: Environment,
      description: 'Its environment.',
      resolve: (service, _args, context) => rowById<EnvironmentRow>(context, 'environment', service.environmentId),
    }),
    repositoryUrl: t.exposeString('repositoryUrl', { nullable: true, description: 'The git repository, without credentials.' }),
    branch: t.exposeString('branch', { description: 'What is deployed when nothing else is asked for.' }),
    rootDirectory: t.exposeString('rootDirectory', {
      nullable: true,
      description: 'The directory of the repository that is built; null: its root.',
    }),
    buildCommand: t.exposeString('buildCommand', { nullable: true, description: 'Builds it; null: found out from the files.' }),
    releaseCommand: t.exposeString('releaseCommand', {
      nullable: true,
      description: 'Runs once before the new release starts, such as a database migration.',
    }),
    startCommand: t.exposeString('startCommand', { nullable: true, description: 'Starts an instance; null: found out from the files.' }),
    publishDirectory: t.exposeString('publishDirectory', {
      nullable: true,
      description: 'What a static site serves; null: its root directory.',
    }),
    port: t.exposeInt('port', {
      nullable: true,
      description: 'The declared port. Instances on this machine are given a PORT of their own.',
    }),
    healthCheckPath: t.exposeString('healthCheckPath', {
      nullable: true,
      description: 'Must answer 2xx or 3xx; null: a TCP connection is enough.',
    }),
    minInstances: t.exposeInt('minInstances', { description: 'So many run at least.' }),
    maxInstances: t.exposeInt('maxInstances', { description: 'So many run at most, by load.' }),
    queuePolicy: t.expose('queuePolicy', { type: QueuePolicy, description: 'What happens to a deployment while another one runs.' }),
    buildTimeoutMs: t.exposeInt('buildTimeoutMs', { description: 'Deadline of a build, in milliseconds.' }),
    healthTimeoutMs: t.exposeInt('healthTimeoutMs', { description: 'Deadline for a new release to become healthy, in milliseconds.' }),
    shutdownGraceMs: t.exposeInt('shutdownGraceMs', { description: 'Between TERM and KILL, in milliseconds.' }),
    desiredState: t.expose('desiredState', { type: DesiredState, description: 'What is wanted; `status` says what is.' }),
    ...written(t),
  }),
})

export const WebServiceConnection = connectionType<WebServiceRow>(WebService as never, 'WebService', 'WebService')

registerNode('WebService', (context, ids) =>
  rows<WebServiceRow>(
    context.app.db.prisma,
    sql`select s.* from web_service s where s.id = any(${ids}::uuid[]) and ${visible(context.caller, sql`s`)}`,
  ),
)

builder.queryFields((t) => ({
  webServices: t.field({
    type: WebServiceConnection,
    description: 'Services, of a project, an environment or a kind where given; oldest first.',
    args: {
      projectId: t.arg.id({ description: 'Only of this project.' }),
      environmentId: t.arg.id({ description: 'Only of this environment.' }),
      kind: t.arg({ type: WebServiceKind, description: 'Only of this kind.' }),
      ...connectionArgs,
    },
    resolve: (_root, { projectId, environmentId, kind, ...page }, context) =>
      connection(
        () => context.call(listWebServices, { projectId, environmentId, kind, ...page }),
        () => context.call(countWebServices, { projectId, environmentId, kind }),
      ),
  }),
  webService: t.field({
    type: WebService,
    nullable: true,
    description: 'One service by id or slug.',
    args: { id: t.arg.id({ description: 'Its id.' }), slug: t.arg.string({ description: 'Its slug.' }) },
    resolve: (_root, args, context) => context.call(findWebService, args),
  }),
}))

const nested = { permission: 'view:web_services' as const, listing: ({ caller }: GraphqlContext) => webServiceListing(caller) }

builder.prismaObjectField('Project', 'webServices', (t) =>
  t.field({
    type: WebServiceConnection,
    description: 'Its services, oldest first.',
    args: connectionArgs,
    resolve: (project, args, context) =>
      nestedConnection<WebServiceRow>(context, project.id, args, { ...nested, name: 'Project.webServices', parent: sql`t.project_id` }),
  }),
)

builder.prismaObjectField('Environment', 'webServices', (t) =>
  t.field({
    type: WebServiceConnection,
    description: 'Its services, oldest first.',
    args: connectionArgs,
    resolve: (environment, args, context) =>
      nestedConnection<WebServiceRow>(context, environment.id, args, {
        ...nested,
        name: 'Environment.webServices',
        parent: sql`t.environment_id`,
      }),
  }),
)

/** The settings that a service is made and changed with; `initial` gives the defaults of a new one. */
const settingFields = (t: InputBuilder, initial: boolean) => ({
  slug: t.string({ description: 'The first label of its host name; made from the name when absent.' }),
  repositoryUrl: t.string({ description: 'A git repository over https, ssh or file. `user:token@` is lifted out and kept encrypted.' }),
  branch: t.string({ ...(initial ? { defaultValue: 'main' } : {}), description: 'What is deployed when nothing else is asked for.' }),
  rootDirectory: t.string({ description: 'The directory of the repository to build.' }),
  buildCommand: t.string({ description: 'Builds it; absent: found out from the files.' }),
  releaseCommand: t.string({ description: 'Runs once before the new release starts.' }),
  startCommand: t.string({ description: 'Starts an instance; absent: found out from the files.' }),
  publishDirectory: t.string({ description: 'What a static site serves.' }),
  port: t.int({ description: 'The declared port, 1 to 65535.' }),
  healthCheckPath: t.string({ description: 'Must answer 2xx or 3xx.' }),
  minInstances: t.int({ ...(initial ? { defaultValue: 1 } : {}), description: 'So many run at least, 1 to 20.' }),
  maxInstances: t.int({ description: 'So many run at most, up to 20; at least minInstances.' }),
  queuePolicy: t.field({
    type: QueuePolicy,
    ...(initial ? { defaultValue: 'QUEUE_LATEST' as const } : {}),
    description: 'What happens to a deployment while another one runs.',
  }),
  buildTimeoutMs: t.int({ description: 'Deadline of a build, in milliseconds.' }),
  healthTimeoutMs: t.int({ description: 'Deadline for a new release to become healthy, in milliseconds.' }),
  shutdownGraceMs: t.int({ description: 'Between TERM and KILL, in milliseconds.' }),
})

const idInput = (t: InputBuilder) => ({ id: t.id({ required: true, description: 'The service.' }) })

mutation(createWebService, {
  input: (t) => ({
    projectId: t.id({ required: true, description: 'The project.' }),
    environmentId: t.id({ description: "The environment; absent: the project's production." }),
    name: t.string({ required: true, description: 'Its name, 1 to 100 characters.' }),
    kind: t.field({ type: WebServiceKind, defaultValue: 'WEB', description: 'What it is; fixed afterwards.' }),
    ...settingFields(t, true),
  }),
  payload: gives('webService', WebService, 'The service.'),
})

mutation(updateWebService, {
  versioned: true,
  input: (t) => ({ ...idInput(t), name: t.string({ description: 'Its new name.' }), ...settingFields(t, false) }),
  payload: gives('webService', WebService, 'The service.'),
})

mutation(startWebService, {
  input: idInput,
  payload: gives('webService', WebService, 'The service.'),
})

mutation(stopWebService, {
  input: idInput,
  payload: gives('webService', WebService, 'The service.'),
})

mutation(restartWebService, {
  input: idInput,
  payload: gives('webService', WebService, 'The service.'),
})

mutation(deleteWebService, {
  versioned: true,
  input: idInput,
  payload: (t) => ({
    deletedId: t.id({ description: 'What was deleted.', resolve: (result) => encodeId('WebService', result.deletedId) }),
    webService: t.field({
      type: WebService,
      nullable: true,
      description: 'The service while it is being stopped; null when it is gone already.',
      resolve: (result) => result.webService,
    }),
  }),
})
