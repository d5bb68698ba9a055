import {
  builder,
  columnsOf,
  connectionOf,
  enumType,
  findRelated,
  type InputBuilder,
  idField,
  mutation,
  Node,
  nestedConnection,
  payloadOf,
  rootConnection,
  settingFields,
  versionFields,
} from '../../../graphql/builder/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { SshKey } from '../../access/ssh-key/graphql.ts'
import { sshKeyListing } from '../../access/ssh-key/index.ts'
import { Environment } from '../environment/graphql.ts'
import { environmentListing } from '../environment/index.ts'
import { Project } from '../project/graphql.ts'
import { projectListing } from '../project/index.ts'
import { createWebService, deleteWebService, restartWebService, startWebService, stopWebService, updateWebService } from './commands.ts'
import { countWebServices, findWebService, listWebServices, webServiceListing } from './queries.ts'
import { serviceSettings } from './settings.ts'

export const WebServiceKind = enumType('WebServiceKind', 'Kind of a web service.', {
  WEB: 'A web server that answers HTTP requests.',
  STATIC_SITE: 'Static files served by the router.',
  WORKER: 'A background process that is not reachable over HTTP.',
  ODOO: 'An Odoo instance, which `createOdooInstance` creates.',
})

export const ServiceSource = enumType('ServiceSource', 'Where the releases of a web service come from.', {
  GIT: 'Built from a git repository.',
  IMAGE: 'A container image. It can be stored, but not deployed yet.',
})

export const DesiredState = enumType('DesiredState', 'Desired state of a service. See `status` for the observed state.', {
  RUNNING: 'The service should run.',
  STOPPED: 'The service should not run.',
  DELETED: 'The service is being deleted.',
})

export const QueuePolicy = enumType(
  'QueuePolicy',
  'Behavior when a deployment is requested while another deployment of the service is in progress.',
  {
    QUEUE_LATEST:
      'The new deployment waits. At most one deployment waits: a newer one replaces it, and the replaced one ends as `SKIPPED`.',
    QUEUE_ALL: 'All deployments wait and run in order.',
    REJECT: 'The request fails with `deployment_in_progress`.',
  },
)

const settings = settingFields(serviceSettings, {
  sourceType: {
    type: ServiceSource,
    text: 'Where the releases of the service come from.',
    input: 'Defaults to `GIT`. A service with the source `IMAGE` cannot be deployed yet.',
  },
  repositoryUrl: {
    text: 'URL of the git repository. Null means no repository is set, and the service cannot be deployed.',
    input:
      'The URL is https, ssh (also `git@host:path`) or file. Credentials in an https URL (`user:token@`) are removed from it and stored encrypted.',
    output: 'Returned without credentials.',
  },
  branch: { text: 'Branch to deploy when a deployment names none.', input: 'Defaults to `main`.' },
  autoDeploy: {
    text: 'Whether pushes to the branch are to be deployed. The value is stored for clients, but has no effect yet: a service is deployed only by a request.',
    input: 'Defaults to false.',
  },
  imageRef: {
    text: 'Container image of a service with the source `IMAGE`, such as `nginx:1.27`.',
    input: 'At most 500 characters.',
  },
  dockerfilePath: {
    text: 'Path of the Dockerfile within the repository. Local builds ignore it, because they run without containers.',
    input: 'At most 500 characters.',
  },
  rootDirectory: {
    text: 'Directory within the repository to build. Null means the repository root.',
    input: 'At most 500 characters.',
  },
  buildCommand: {
    text: "Build command. Null means Quayside detects one from the repository's files.",
    input: 'At most 4096 characters.',
  },
  releaseCommand: {
    text: 'Command that runs once before the instances of a new release start, such as a database migration. Null means the `release` line of the Procfile, if there is one.',
    input: 'At most 4096 characters.',
  },
  startCommand: {
    text: "Command that starts an instance. Null means Quayside detects one from the repository's files.",
    input: 'At most 4096 characters.',
  },
  publishDirectory: {
    text: 'Directory that a static site serves, relative to the root directory; `.` is the root directory itself. Null means the output of the build (the first of `dist`, `build`, `out`, `_site`, `public` and `.output/public`), or the root directory if nothing is built.',
    input: 'At most 500 characters.',
  },
  singlePage: {
    text: 'Whether a static site answers requests for unknown paths without a file extension with `200.html` or `index.html` and status 200, as a single-page application needs.',
    input: 'Defaults to false.',
  },
  port: {
    text: 'Declared port of the service. Local instances ignore it: each gets its own port in the variable `PORT`.',
    input: 'Must be from 1 to 65535.',
  },
  healthCheckPath: {
    text: 'Path of the HTTP health check, which must return a 2xx or 3xx status. Null means that any response to `GET /` is sufficient while an instance starts, and a TCP connection afterwards.',
    input: 'At most 2000 characters.',
  },
  minInstances: { text: 'Minimum number of instances, from 1 to 20.', input: 'Defaults to 1.' },
  maxInstances: {
    text: 'Maximum number of instances, from `minInstances` to 20. Web services scale with the number of concurrent requests.',
    input: 'Defaults to `minInstances`.',
  },
  queuePolicy: {
    type: QueuePolicy,
    text: 'Behavior when a deployment is requested while another deployment of the service is in progress.',
    input: 'Defaults to `QUEUE_LATEST`.',
  },
  buildTimeoutMs: {
    text: 'Build timeout in milliseconds.',
    input: 'Must be from 100 to 14400000. Defaults to the setting `BUILD_TIMEOUT_MS`, which is 1200000 by default.',
  },
  healthTimeoutMs: {
    text: 'Health check timeout of a new release, in milliseconds.',
    input: 'Must be from 100 to 3600000. Defaults to the setting `VERIFY_TIMEOUT_MS`, which is 120000 by default.',
  },
  shutdownGraceMs: {
    text: 'Time between SIGTERM and SIGKILL when an instance is stopped, in milliseconds.',
    input: 'Must be from 0 to 600000. Defaults to the setting `SHUTDOWN_GRACE_MS`, which is 10000 by default.',
  },
})

export const WebService = builder.prismaObject('WebService', {
  description: 'An application that is built from a git repository and kept running.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:web_services',
  fields: (t) => ({
    id: t.id(idField('WebService')),
    name: t.exposeString('name', { description: 'Name of the service.' }),
    slug: t.exposeString('slug', { description: 'Slug of the service, the first label of its host name. Unique within the installation.' }),
    kind: t.expose('kind', { type: WebServiceKind, description: 'Kind of the service. Can be changed only while no deployment is live.' }),
    project: t.field({
      type: Project,
      description: 'Project that contains the service.',
      select: { projectId: true },
      resolve: ({ projectId }, _args, context, info) => findRelated(context, info, projectListing, projectId),
    }),
    environment: t.field({
      type: Environment,
      description: 'Environment that contains the service.',
      select: { environmentId: true },
      resolve: ({ environmentId }, _args, context, info) => findRelated(context, info, environmentListing, environmentId),
    }),
    ...settings.output(t),
    sshKey: t.field({
      type: SshKey,
      nullable: true,
      description: 'SSH key that opens the repository. Null if none is set, or if it was deleted.',
      select: { sshKeyId: true },
      resolve: ({ sshKeyId }, _args, context, info) => (sshKeyId === null ? null : findRelated(context, info, sshKeyListing, sshKeyId)),
    }),
    desiredState: t.expose('desiredState', {
      type: DesiredState,
      description: 'Desired state of the service. See `status` for the observed state.',
    }),
    ...versionFields(t),
  }),
})

const webServices = connectionOf(WebService, webServiceListing)
rootConnection(webServices, {
  list: listWebServices,
  count: countWebServices,
  args: builder.args((t) => ({
    projectId: t.id({ description: 'Return only services of this project.' }),
    environmentId: t.id({ description: 'Return only services of this environment.' }),
    kind: t.field({ type: WebServiceKind, description: 'Return only services of this kind.' }),
  })),
})
nestedConnection(Project, 'webServices', webServices, { by: 'projectId', description: 'Web services of the project, oldest first.' })
nestedConnection(Environment, 'webServices', webServices, {
  by: 'environmentId',
  description: 'Web services of the environment, oldest first.',
})

builder.queryField('webService', (t) =>
  t.field({
    type: WebService,
    nullable: true,
    description: 'Web service with the given ID or slug. Exactly one of the two is required. Null if the service does not exist.',
    args: { id: t.arg.id({ description: 'ID of the service.' }), slug: t.arg.string({ description: 'Slug of the service.' }) },
    resolve: (_root, args, context, info) => context.call(findWebService, args, columnsOf(info, 'WebService')),
  }),
)

const slugText =
  'Slug of the service, the first label of its host name: lowercase letters, digits and inner hyphens, at most 50 characters. Fails with `slug_taken` if another service has this slug.'

const sshKeyInput = (t: InputBuilder, absent: string) =>
  t.id({
    description: `ID of an SSH key of the signed-in user that opens the repository, whose URL must be an ssh URL. Fails with \`no_private_key\` if Quayside does not have its private key. ${absent}`,
  })

const idInput = (t: InputBuilder) => ({ id: t.id({ required: true, description: 'ID of the service.' }) })

mutation(createWebService, {
  input: (t) => ({
    projectId: t.id({ required: true, description: 'ID of the project.' }),
    environmentId: t.id({ description: "ID of the environment. Defaults to the project's oldest production environment." }),
    serverId: t.id({
      description: 'ID of the server to run on. Defaults to the local server. Any other fails with `placement_unsupported`.',
    }),
    name: t.string({ required: true, description: 'Name of the service, from 1 to 100 characters.' }),
    kind: t.field({
      type: WebServiceKind,
      defaultValue: 'WEB',
      description: 'Kind of the service. `ODOO` is only for `createOdooInstance`.',
    }),
    slug: t.string({
      description: `${slugText} When omitted, Quayside derives a free slug from the name.`,
    }),
    sshKeyId: sshKeyInput(t, 'Defaults to none.'),
    ...settings.input(t, { initial: true }),
  }),
  payload: payloadOf('webService', WebService, 'The created service.'),
})

mutation(updateWebService, {
  versioned: true,
  input: (t) => ({
    ...idInput(t),
    name: t.string({ description: 'New name of the service, from 1 to 100 characters.' }),
    kind: t.field({
      type: WebServiceKind,
      description: 'New kind of the service. Can be changed only while no deployment is live or in progress.',
    }),
    slug: t.string({ description: slugText }),
    sshKeyId: sshKeyInput(
      t,
      'When omitted, the key is kept, unless `repositoryUrl` changes: a key opens only the repository that its owner chose it for.',
    ),
    ...settings.input(t, { initial: false }),
  }),
  payload: payloadOf('webService', WebService, 'The updated service.'),
})

mutation(startWebService, {
  input: idInput,
  payload: payloadOf('webService', WebService, 'The started service.'),
})

mutation(stopWebService, {
  input: idInput,
  payload: payloadOf('webService', WebService, 'The stopped service. See `status` for the observed state.'),
})

mutation(restartWebService, {
  input: idInput,
  payload: payloadOf('webService', WebService, 'The restarted service.'),
})

mutation(deleteWebService, {
  versioned: true,
  input: idInput,
  payload: (t) => ({
    deletedId: t.id({ description: 'ID of the deleted service.', resolve: (result) => encodeId('WebService', result.deletedId) }),
    webService: t.field({
      type: WebService,
      nullable: true,
      description: 'The service while it is being stopped. Null if it has already been removed.',
      resolve: (result) => result.webService,
    }),
  }),
})
