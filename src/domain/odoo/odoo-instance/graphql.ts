import {
  builder,
  columnsOf,
  connectionOf,
  enumType,
  findRelated,
  findVisible,
  type GraphqlContext,
  type InputBuilder,
  idField,
  loadRows,
  mutation,
  Node,
  payloadOf,
  rootConnection,
  settingFields,
  versionFields,
} from '../../../graphql/builder/index.ts'
import { errors } from '../../../platform/errors.ts'
import { EnvironmentType } from '../../apps/project/graphql.ts'
import { WebService } from '../../apps/web-service/graphql.ts'
import { webServiceListing } from '../../apps/web-service/index.ts'
import { EnvVarInput } from '../../configuration/env-var/graphql.ts'
import { Deployment } from '../../deploys/deployment/graphql.ts'
import { Disk } from '../../deploys/disk/graphql.ts'
import { diskListing } from '../../deploys/disk/index.ts'
import { Database } from '../../resources/database/graphql.ts'
import { databaseListing } from '../../resources/database/index.ts'
import { createOdooInstance, updateOdooInstance } from './commands.ts'
import { createdSettings, instanceSettings } from './model.ts'
import {
  countOdooInstances,
  findOdooInstance,
  instanceByService,
  listOdooInstances,
  type OdooInstanceOverview,
  odooInstanceListing,
  overviewsOf,
} from './queries.ts'

export const OdooEdition = enumType('OdooEdition', 'Edition of Odoo.', {
  COMMUNITY: 'The source of Odoo alone.',
  ENTERPRISE: 'With the enterprise addons, which the repository of the instance contains.',
})

export const OdooInstanceStatusType = enumType('OdooInstanceStatus', 'Observed status of an Odoo instance.', {
  PROVISIONING: 'The database is being created, and the first deployment is in progress.',
  RUNNING: 'Running and answering requests.',
  STOPPED: 'Stopped. Its database and files are kept.',
  RESTARTING: 'Starting or restarting.',
  ERROR: 'Not running. See `statusMessage`.',
  DELETING: 'Being deleted, with its database and files.',
})

const created = settingFields(createdSettings, {
  odooVersion: {
    text: 'Version of Odoo, such as `17.0`.',
    input: 'It is the branch of the source of Odoo, from 15.0 on. Defaults to `17.0`.',
  },
  edition: { type: OdooEdition, text: 'Edition of Odoo.', input: 'Defaults to `COMMUNITY`.' },
})

const settings = settingFields(instanceSettings, {
  addonsPath: {
    text: 'Directories of addons within the repository, separated by commas, in the order of their precedence. Null means that every directory with modules is used.',
    input: 'At most 1000 characters.',
  },
  workers: {
    text: 'Number of worker processes for requests. 0 means a single process with threads.',
    input: 'From 0 to 64. Defaults to 2.',
  },
  config: {
    text: 'Further lines of the configuration file `odoo.conf`, such as `limit_time_real = 240`, and further sections.',
    input:
      'At most 20000 characters. Options that Quayside sets, such as `db_host` and `http_port`, and options with a secret in them are refused.',
  },
})

const overviewOf = (context: GraphqlContext, id: string) =>
  context
    .load('OdooInstance.overview', id, async (ids: readonly string[]) => {
      const found = await overviewsOf({ app: context.app, tx: context.app.db }, ids)
      return ids.map((each) => found.get(each) ?? null)
    })
    // The instance was removed since its row was read.
    .map((overview): OdooInstanceOverview => {
      if (!overview) throw errors.not_found()
      return overview
    })

export const OdooInstance = builder.prismaObject('OdooInstance', {
  description: 'An Odoo server: a web service of the kind `ODOO` with a database and a disk of its own.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:web_services',
  fields: (t) => ({
    id: t.id(idField('OdooInstance')),
    webService: t.field({
      type: WebService,
      description: 'The service that is the instance. It is deployed, started, stopped, restarted and deleted like any other.',
      resolve: ({ id }, _args, context, info) => findRelated(context, info, webServiceListing, id),
    }),
    database: t.field({
      type: Database,
      nullable: true,
      description: 'Database of the instance. Null if it was deleted, or if the caller cannot see it.',
      select: { databaseId: true },
      resolve: ({ databaseId }, _args, context, info) => (databaseId ? findVisible(context, info, databaseListing, databaseId) : null),
    }),
    disk: t.field({
      type: Disk,
      nullable: true,
      description: 'Disk with the files and sessions of the instance. Null if it was deleted.',
      select: { diskId: true },
      resolve: ({ diskId }, _args, context, info) => (diskId ? findVisible(context, info, diskListing, diskId) : null),
    }),
    ...created.output(t),
    ...settings.output(t),
    status: t.field({
      type: OdooInstanceStatusType,
      description: 'Observed status of the instance.',
      resolve: ({ id }, _args, context) => overviewOf(context, id).map(({ status }) => status),
    }),
    statusMessage: t.string({
      nullable: true,
      description: 'Why the instance is not running, if the status is `ERROR`. Null otherwise.',
      resolve: ({ id }, _args, context) => overviewOf(context, id).map(({ statusMessage }) => statusMessage),
    }),
    url: t.string({
      description: 'Address at which visitors reach the instance.',
      resolve: ({ id }, _args, context) => overviewOf(context, id).map(({ url }) => url),
    }),
    httpPort: t.int({
      nullable: true,
      description: 'Port on which the running server accepts HTTP requests on this machine. Null if it is not running.',
      resolve: ({ id }, _args, context) => overviewOf(context, id).map(({ httpPort }) => httpPort),
    }),
    pendingSettings: t.stringList({
      description:
        'Names of settings that have changed since the live deployment and take effect later: `workers` and `config` with a restart or a deployment, `addonsPath` with a deployment.',
      resolve: ({ id }, _args, context) => overviewOf(context, id).map(({ pendingSettings }) => pendingSettings),
    }),
    ...versionFields(t),
  }),
})

rootConnection(connectionOf(OdooInstance, odooInstanceListing), {
  list: listOdooInstances,
  count: countOdooInstances,
  args: builder.args((t) => ({
    projectId: t.id({ description: 'Return only instances of this project.' }),
    environmentId: t.id({ description: 'Return only instances of this environment.' }),
  })),
})

builder.queryField('odooInstance', (t) =>
  t.field({
    type: OdooInstance,
    nullable: true,
    description: findOdooInstance.description,
    args: { id: t.arg.id({ required: true, description: 'ID of the Odoo instance.' }) },
    resolve: (_root, args, context, info) => context.call(findOdooInstance, args, columnsOf(info, 'OdooInstance')),
  }),
)

builder.prismaObjectField(WebService, 'odooInstance', (t) =>
  t.field({
    type: OdooInstance,
    nullable: true,
    description: 'The Odoo instance that the service is. Null for a service of another kind.',
    resolve: (service, _args, context, info) =>
      loadRows(context, 'WebService.odooInstance', service.id, columnsOf(info, 'OdooInstance'), instanceByService),
  }),
)

const nameText = 'Name of the instance, from 3 to 64 characters.'

const envVarsInput = (t: InputBuilder, text: string) =>
  t.field({ type: [EnvVarInput], description: `${text} Requires the permission \`manage:secrets\`.` })

mutation(createOdooInstance, {
  input: (t) => ({
    projectId: t.id({ required: true, description: 'ID of the project.' }),
    environmentId: t.id({ description: "ID of the environment. Defaults to the project's oldest production environment." }),
    environmentType: t.field({
      type: EnvironmentType,
      description: "Instead of `environmentId`: the project's oldest environment of this type, which is created if there is none.",
    }),
    serverId: t.id({ description: 'ID of the server. Only the local one runs instances.' }),
    name: t.string({ required: true, description: nameText }),
    slug: t.string({
      description: 'Slug of the instance, the first label of its host name. When omitted, Quayside derives a free slug from the name.',
    }),
    repositoryUrl: t.string({
      description: 'URL of the git repository with the addons, as for a web service. Without one, the instance has none.',
    }),
    branch: t.string({ description: 'Branch of the repository. Defaults to `main`.' }),
    sshKeyId: t.id({ description: 'ID of an SSH key of the signed-in user that opens the repository.' }),
    ...created.input(t, { initial: true }),
    ...settings.input(t, { initial: true }),
    envVars: envVarsInput(t, 'Environment variables of the instance.'),
  }),
  payload: (t) => ({
    odooInstance: t.field({ type: OdooInstance, description: 'The created instance.', resolve: (result) => result.odooInstance }),
    deployment: t.field({ type: Deployment, description: 'The queued first deployment.', resolve: (result) => result.deployment }),
  }),
})

mutation(updateOdooInstance, {
  versioned: true,
  input: (t) => ({
    id: t.id({ required: true, description: 'ID of the Odoo instance.' }),
    name: t.string({ description: nameText }),
    ...settings.input(t, { initial: false }),
    envVars: envVarsInput(t, 'Environment variables to create or update. Others are kept.'),
  }),
  payload: payloadOf('odooInstance', OdooInstance, 'The updated instance.'),
})
