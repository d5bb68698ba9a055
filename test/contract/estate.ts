/** One object of every type that has an id, for an organization, and operations that are generated from the schema. */
import { randomBytes } from 'node:crypto'
import {
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLNamedType,
  getNamedType,
  getNullableType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
} from 'graphql'
import { outboxIdentity } from '../../src/domain/access/mail/model.ts'
import { routerPort, runtimePort } from '../../src/domain/deploys/instance/index.ts'
import type { Router, Runtime } from '../../src/domain/deploys/instance/ports.ts'
import { odooPort } from '../../src/domain/odoo/odoo-account/index.ts'
import { backupEngine, backupStore } from '../../src/domain/resources/backup/index.ts'
import type { BackupEngine, BackupStore } from '../../src/domain/resources/backup/ports.ts'
import { storageEndpoint } from '../../src/domain/resources/storage/index.ts'
import { fanOutEvents } from '../../src/domain/webhooks/delivery/jobs.ts'
import { outgoingHttp } from '../../src/domain/webhooks/endpoint/index.ts'
import { createHttpOutgoing } from '../../src/drivers/http/index.ts'
import { newRow, row, run as runStatement, sql } from '../../src/platform/db/index.ts'
import { createEgressGuard } from '../../src/platform/egress.ts'
import { decodeId, encodeId, type IdType, isIdType, newId } from '../../src/platform/id.ts'
import { sequence } from '../../src/platform/sequencer.ts'
import type { App } from '../../src/platform/work.ts'
import { provideEngine } from '../support/database-engine.ts'
import { provideEmail } from '../support/email.ts'
import { provideRedisEngine } from '../support/redis-engine.ts'
import { administrator, createWorld, operation, type Tenant, type World } from '../support/tenant.ts'
import { commands, queries } from './support.ts'

/** A world with the drivers that commands and fields use. Its runtime and router implement only what the schema shows. */
export async function createFullWorld(settings: Record<string, string> = {}): Promise<World> {
  const world = await createWorld(settings)
  const http = createHttpOutgoing({ guard: createEgressGuard({ allow: world.app.settings.EGRESS_ALLOW }) })
  outgoingHttp.provide(world.app, http)
  runtimePort.provide(world.app, { sandbox: 'none' } as Runtime)
  routerPort.provide(world.app, { port: 4080 } as Router)
  provideEngine(world.app)
  const recordedUntil = async () => null
  backupStore.provide(world.app, { nameOf: (path) => path } as Partial<BackupStore> as BackupStore)
  backupEngine.provide(world.app, { recordedUntil, check: async () => {} } as Partial<BackupEngine> as BackupEngine)
  provideRedisEngine(world.app)
  storageEndpoint.provide(world.app, { url: 'http://127.0.0.1:4090' })
  provideEmail(world.app)
  odooPort.provide(world.app, { version: async () => '17.0', logIn: async () => {}, call: async () => [] })
  return {
    ...world,
    async close() {
      await http.close()
      await world.close()
    },
  }
}

/** Shown to the user alone, so they can't be selected of other users, nor of lists of users. */
export const ofAccount = (field: { name: string }) => ['totpEnabled', 'passkeys', 'sshKeys'].includes(field.name)

/** TypeIDs by type. */
export type Estate = Record<IdType, string>

const make = `mutation ($p: ID!, $name: String!, $bucket: String!) {
  createWebService(input: {projectId: $p, name: $name, repositoryUrl: "file:///srv/nothing.git"}) { webService { id environment { id } } }
  createSecret(input: {projectId: $p, key: "TOKEN", value: "hunter2"}) { secret { id } }
  createWebhookEndpoint(input: {url: "http://127.0.0.1:9/"}) { webhookEndpoint { id } }
  createDatabase(input: {projectId: $p, name: $name}) { database { id } }
  createRedis(input: {projectId: $p, name: $name}) { redis { id } }
  createBucket(input: {name: $bucket}) { bucket { id } }
  createEmailService(input: {name: $name}) { emailService { id } }
  createRole(input: {name: $name, permissions: []}) { role { id } }
  createOrganization(input: {name: $name}) { organization { id } }
  generateSshKey(input: {label: $name}) { sshKey { id } }
  createServer(input: {name: $name, host: "127.0.0.1", port: 9, sshUser: "deploy", authMethod: PASSWORD, sshPassword: "hunter2"}) { server { id } }
  createOdooAccount(input: {name: $name, url: "http://127.0.0.1:9", database: "acme", login: "admin", secret: "hunter2"}) { odooAccount { id } }
}`

export async function createEstate(app: App, tenant: Tenant): Promise<Estate> {
  const run = async (source: string, variables: Record<string, unknown>) => {
    const { data, errors } = await operation(app, tenant.owner, source, variables)
    if (errors) throw new Error(`the estate can't be made: ${JSON.stringify(errors)}`)
    return data!
  }
  // An entry of the audit log of the installation.
  const self = { id: encodeId('User', tenant.owner.userId!) }
  await operation(app, administrator(tenant.owner), 'mutation ($id: ID!) { reactivateUser(input: {id: $id}) { user { id } } }', self)
  const name = `estate ${newId()}`
  const { createProject } = await run('mutation ($name: String!) { createProject(input: {name: $name}) { project { id } } }', { name })
  const Project = createProject.project.id as string
  const made = await run(make, { p: Project, name, bucket: `estate-${newId()}` })
  const service = made.createWebService.webService
  const OdooAccount = made.createOdooAccount.odooAccount.id as string
  await runStatement(
    app.db,
    sql`update odoo_account set web_service_id = ${decodeId('WebService', service.id)}::uuid where id = ${decodeId('OdooAccount', OdooAccount)}::uuid`,
  )
  const { createApiKey } = await run(
    `mutation ($name: String!, $o: ID!) { createApiKey(input: {name: $name, kind: BRIDGE, scope: READ, odooAccountId: $o}) { apiKey { id } } }`,
    { name, o: OdooAccount },
  )
  const secret = made.createSecret.secret.id
  const database = made.createDatabase.database.id
  const redis = made.createRedis.redis.id
  const bucket = made.createBucket.bucket.id
  const EmailService = made.createEmailService.emailService.id
  await runStatement(
    app.db,
    sql`update web_service set ssh_key_id = ${decodeId('SshKey', made.generateSshKey.sshKey.id)}::uuid where id = ${decodeId('WebService', service.id)}::uuid`,
  )
  const Role = made.createRole.role.id as string
  const { inviteMember } = await run(
    `mutation ($r: ID!, $p: ID!, $email: String!) { inviteMember(input: {email: $email, roleId: $r, projectIds: [$p]}) { invitation { id } } }`,
    { email: `${newId()}@example.com`, r: Role, p: Project },
  )
  const tested = await run('mutation ($id: ID!) { runSpeedTest(input: {odooAccountId: $id, type: LIGHT}) { speedTest { id } } }', {
    id: OdooAccount,
  })
  const configured = await run(
    `mutation ($s: ID!, $secret: ID!, $database: ID!, $redis: ID!, $bucket: ID!, $name: String!, $domain: String!) {
       setEnvVars(input: {webServiceId: $s, variables: [{key: "MODE", value: "on"}]}) { envVars { id } }
       addCustomDomain(input: {webServiceId: $s, domain: $domain}) { customDomain { id } }
       bindSecret(input: {webServiceId: $s, secretId: $secret}) { secretBinding { id } }
       createDisk(input: {webServiceId: $s, name: "uploads", mountPath: "/app/uploads", sizeBytes: 1073741824}) { disk { id } }
       connectDatabase(input: {databaseId: $database, webServiceId: $s}) { resourceBinding { id } }
       connectRedis(input: {redisId: $redis, webServiceId: $s}) { resourceBinding { id } }
       connectBucket(input: {bucketId: $bucket, webServiceId: $s}) { resourceBinding { id } }
       createStorageKey(input: {name: $name, bucketIds: [$bucket], permissions: {}}) { storageKey { id } } }`,
    { s: service.id, secret, database, redis, bucket, name, domain: `${newId()}.example.com` },
  )
  await runStatement(app.db, sql`update database set status = 'RUNNING' where id = ${decodeId('Database', database)}::uuid`)
  const backedUp = await run(
    `mutation ($d: ID!) { setBackupSchedule(input: {databaseId: $d, cron: "0 3 * * *"}) { database { id } }
       createBackup(input: {databaseId: $d}) { backup { id } } }`,
    { d: database },
  )
  const replicated = await run('mutation ($d: ID!) { createDatabaseReplica(input: {databaseId: $d}) { databaseReplica { id } } }', {
    d: database,
  })
  const deployed = await run('mutation ($s: ID!) { deployWebService(input: {webServiceId: $s}) { deployment { id } } }', { s: service.id })
  const Deployment = deployed.deployWebService.deployment.id as string
  const emailing = await run(
    `mutation ($e: ID!, $s: ID!) {
       addSendingDomain(input: {emailServiceId: $e, domain: "mail.example.com"}) { sendingDomain { id } }
       addSandboxRecipient(input: {emailServiceId: $e, email: "ada@example.com"}) { sandboxRecipient { id } }
       createEmailApiKey(input: {emailServiceId: $e, name: "shop"}) { emailApiKey { id } }
       createEmailWebhook(input: {emailServiceId: $e, url: "http://127.0.0.1:9/email", events: ["bounced"]}) { secret }
       connectEmailService(input: {emailServiceId: $e, webServiceId: $s}) { resourceBinding { id } } }`,
    { e: EmailService, s: service.id },
  )
  await runStatement(
    app.db,
    sql`update sandbox_recipient set verified_at = app_now(), code_mac = null where id = ${decodeId('SandboxRecipient', emailing.addSandboxRecipient.sandboxRecipient.id)}::uuid`,
  )
  const sent = await run(
    `mutation ($e: ID!) { sendEmail(input: {emailServiceId: $e, from: "shop@example.com", to: ["ada@example.com"], subject: "Hello", text: "Hello"}) {
       emailMessage { id } } }`,
    { e: EmailService },
  )
  const endpoint = made.createWebhookEndpoint.webhookEndpoint.id
  await run('mutation ($p: ID!) { updateProject(input: {id: $p, description: "told"}) { project { id } } }', { p: Project })
  await sequence(app)
  while ((await fanOutEvents.run(app, new AbortController().signal)) === 'again');
  const message = await row<{ id: string }>(
    app.db,
    sql`select id from webhook_message where organization_id = ${tenant.organizationId}::uuid order by id desc limit 1`,
  )
  const { WebhookAttempt, Instance, Operation, MailSuppression, OutboxMail } = await addRows(app, tenant, {
    Project,
    Environment: service.environment.id,
    service: service.id,
    Deployment,
    endpoint,
    messageId: message!.id,
    emailService: EmailService,
  })
  const Member = await addMember(app, tenant, { Role, Project })
  return {
    Organization: encodeId('Organization', tenant.organizationId),
    User: encodeId('User', tenant.owner.userId!),
    SshKey: made.generateSshKey.sshKey.id,
    Session: await addSession(app, tenant),
    Role,
    Member,
    Invitation: inviteMember.invitation.id,
    Passkey: await addPasskey(app, tenant),
    ApiKey: createApiKey.apiKey.id,
    Server: made.createServer.server.id,
    AuditEntry: (await run('{ auditLog(first: 1) { nodes { id } } }', {})).auditLog.nodes[0].id,
    Project,
    Environment: service.environment.id,
    WebService: service.id,
    Deployment,
    Task: encodeId('Task', decodeId('Operation', Operation)),
    AdminJob: encodeId('AdminJob', decodeId('Operation', Operation)),
    Instance,
    EnvVar: configured.setEnvVars.envVars[0].id,
    Secret: secret,
    Disk: configured.createDisk.disk.id,
    SecretBinding: configured.bindSecret.secretBinding.id,
    Database: database,
    DatabaseReplica: replicated.createDatabaseReplica.databaseReplica.id,
    Backup: backedUp.createBackup.backup.id,
    Redis: redis,
    Bucket: bucket,
    StorageKey: configured.createStorageKey.storageKey.id,
    CustomDomain: configured.addCustomDomain.customDomain.id,
    EmailService,
    SendingDomain: emailing.addSendingDomain.sendingDomain.id,
    SandboxRecipient: emailing.addSandboxRecipient.sandboxRecipient.id,
    EmailApiKey: emailing.createEmailApiKey.emailApiKey.id,
    EmailMessage: sent.sendEmail.emailMessage.id,
    ResourceBinding: configured.connectDatabase.resourceBinding.id,
    WebhookEndpoint: endpoint,
    WebhookMessage: encodeId('WebhookMessage', message!.id),
    WebhookAttempt,
    Operation,
    MailSuppression,
    OutboxMail,
    OdooInstance: await addOdooInstance(app, tenant, { service, Project, database, disk: configured.createDisk.disk.id }),
    OdooAccount,
    SpeedTest: tested.runSpeedTest.speedTest.id,
    BridgeCall: await addBridgeCall(app, tenant, decodeId('OdooAccount', OdooAccount)),
  }
}

/** Gives a service what one of the kind ODOO has, so that all services of an estate are alike. */
async function addOdooInstance(
  app: App,
  { organizationId }: Tenant,
  of: { service: { id: string; environment: { id: string } }; Project: string; database: string; disk: string },
): Promise<string> {
  const id = decodeId('WebService', of.service.id)
  const fields = {
    ...{
      id,
      organizationId,
      projectId: decodeId('Project', of.Project),
      environmentId: decodeId('Environment', of.service.environment.id),
    },
    ...{ databaseId: decodeId('Database', of.database), diskId: decodeId('Disk', of.disk), odooVersion: '17.0', edition: 'COMMUNITY' },
    ...{ workers: 2, adminPassword: randomBytes(40) },
  }
  await runStatement(app.db, sql`insert into odoo_instance ${newRow(fields)}`)
  return encodeId('OdooInstance', id)
}

/** Objects that only workers create. */
async function addRows(
  app: App,
  { organizationId }: Tenant,
  of: {
    Project: string
    Environment: string
    service: string
    Deployment: string
    endpoint: string
    messageId: string
    emailService: string
  },
) {
  const [attempt, instance, operationId, suppression, mail] = [newId(), newId(), newId(), newId(), newId()]
  await (await app.db.prismaClient()).webhookAttempt.create({
    data: {
      id: attempt,
      organizationId,
      messageId: of.messageId,
      endpointId: decodeId('WebhookEndpoint', of.endpoint),
      number: 1,
      trigger: 'AUTOMATIC',
      url: 'http://127.0.0.1:9/',
      startedAt: new Date(),
      durationMs: 1,
    },
  })
  // An attempt is inserted in the transaction that counts it.
  await (await app.db.prismaClient()).webhookDelivery.updateMany({ where: { messageId: of.messageId }, data: { attemptCount: 1 } })
  await (await app.db.prismaClient()).instance.create({
    data: {
      id: instance,
      organizationId,
      webServiceId: decodeId('WebService', of.service),
      deploymentId: decodeId('Deployment', of.Deployment),
      generation: 0,
      status: 'RUNNING',
    },
  })
  await addOperation(app, organizationId, operationId, of)
  await (await app.db.prismaClient()).mailSuppression.create({
    data: { id: suppression, organizationId, address: `${suppression}@example.com`, reason: 'BOUNCED' },
  })
  const outboxMail = {
    id: mail,
    organizationId,
    ownerId: decodeId('EmailService', of.emailService),
    purpose: 'email_message',
    sender: 'shop@example.com',
    subject: 'Hello',
    toAddresses: [],
    recipients: [],
  }
  const content = await app.keyring.seal(app.db, organizationId, outboxIdentity(mail), JSON.stringify({ text: null, html: null, raw: '' }))
  await (await app.db.prismaClient()).outboxMail.create({ data: { ...outboxMail, content, sizeBytes: content.length } })
  return {
    WebhookAttempt: encodeId('WebhookAttempt', attempt),
    Instance: encodeId('Instance', instance),
    Operation: encodeId('Operation', operationId),
    MailSuppression: encodeId('MailSuppression', suppression),
    OutboxMail: encodeId('OutboxMail', mail),
  }
}

async function addPasskey(app: App, { owner }: Tenant): Promise<string> {
  const id = newId()
  const credential = { credentialId: new Uint8Array(Buffer.from(id)), publicKey: new Uint8Array(32), counter: 0, backedUp: false }
  await (await app.db.prismaClient()).passkey.create({
    data: { id, userId: owner.userId!, name: 'laptop', transports: ['usb'], ...credential },
  })
  return encodeId('Passkey', id)
}

async function addBridgeCall(app: App, { organizationId, owner }: Tenant, odooAccountId: string): Promise<string> {
  const fields = {
    id: newId(),
    organizationId,
    odooAccountId,
    calledBy: owner.subject.name,
    model: 'sale.order',
    method: 'read',
    durationMs: 5,
  }
  await runStatement(app.db, sql`insert into bridge_call ${newRow(fields)}`)
  return encodeId('BridgeCall', fields.id)
}

async function addSession(app: App, { owner }: Tenant): Promise<string> {
  const id = newId()
  await (await app.db.prismaClient()).session.create({
    data: { id, userId: owner.userId!, tokenHash: new Uint8Array(32), method: 'password', expiresAt: new Date(Date.now() + 3_600_000) },
  })
  return encodeId('Session', id)
}

/** A second member, who is limited to the project. */
async function addMember(app: App, { organizationId }: Tenant, { Role, Project }: { Role: string; Project: string }): Promise<string> {
  const [id, userId] = [newId(), newId()]
  const fields = { id, organizationId, userId, roleId: decodeId('Role', Role), projectsLimited: true }
  await runStatement(app.db, sql`insert into user_account ${newRow({ id: userId, name: 'Ada', email: `${userId}@example.com` })}`)
  await runStatement(app.db, sql`insert into member ${newRow(fields)}`)
  const limit = { organizationId, memberId: id, projectId: decodeId('Project', Project) }
  await runStatement(app.db, sql`insert into member_project ${newRow(limit)}`)
  return encodeId('Member', id)
}

/** An action on the environment, with the deployment as its part. */
async function addOperation(
  app: App,
  organizationId: string,
  id: string,
  of: { Project: string; Environment: string; Deployment: string },
): Promise<void> {
  const [projectId, subjectId] = [decodeId('Project', of.Project), decodeId('Environment', of.Environment)]
  await (await app.db.prismaClient()).operation.create({
    data: {
      id,
      organizationId,
      projectId,
      subjectId,
      type: 'runEnvironmentAction',
      status: 'PENDING',
      input: { action: 'DEPLOY', services: [] },
    },
  })
  await runStatement(
    app.db,
    sql`update deployment set operation_id = ${id}::uuid where id = ${decodeId('Deployment', of.Deployment)}::uuid`,
  )
}

/** A place that takes an id: an argument of a root field or an input field of a mutation. `type` is null if the schema does not name it. */
export type Slot = {
  title: string
  kind: 'query' | 'mutation' | 'subscription'
  field: GraphQLField<unknown, unknown>
  path: string[]
  isList: boolean
  type: IdType | null
}

const isId = (type: GraphQLInputType) => getNamedType(type).name === 'ID'

export function idSlots(kind: Slot['kind'], fields: Record<string, GraphQLField<unknown, unknown>>): Slot[] {
  return Object.values(fields).flatMap((field) =>
    field.args
      .flatMap((arg) => [...walk(arg.name, arg.type)])
      .map(({ path, isList }) => {
        const inner = kind === 'mutation' ? path.slice(1) : path
        const ids = commands.get(field.name)?.ids ?? queries.get(field.name)?.ids
        return {
          title: `${field.name}(${path.join('.')})`,
          kind,
          field,
          path,
          isList,
          type: ids?.[inner.join('.')] ?? ids?.[`${inner.join('.')}.*`] ?? typeByName(field.name, inner.at(-1)!),
        }
      }),
  )
}

function* walk(name: string, type: GraphQLInputType, above: string[] = []): Generator<{ path: string[]; isList: boolean }> {
  const isList = isListType(getNullableType(type))
  const path = [...above, name, ...(isList && !isId(type) ? ['*'] : [])]
  const named = getNamedType(type)
  if (isId(type)) yield { path, isList }
  else if (isInputObjectType(named)) for (const field of Object.values(named.getFields())) yield* walk(field.name, field.type, path)
}

const upper = (text: string) => text[0]!.toUpperCase() + text.slice(1)

function typeByName(field: string, name: string): IdType | null {
  // These take the ids of several types.
  if (field === 'resourceUpdated') return 'Database'
  if (['auditLog', 'exportAuditLog', 'adminAuditLog'].includes(field)) return name === 'actorId' ? 'User' : 'Project'
  const named = name === 'id' ? upper(field.replace(/Updated$/, '')) : upper(name.replace(/Id$/, ''))
  const known = [named, `Webhook${named}`].find(isIdType)
  return known ?? null
}

/** An input with a value for every required field and ids of the estate. `at` sets the value at a path. */
export function variablesFor(
  field: GraphQLField<unknown, unknown>,
  estate: Estate,
  kind: Slot['kind'],
  at?: { path: string[]; value: unknown },
): Record<string, unknown> {
  const ids = commands.get(field.name)?.ids ?? queries.get(field.name)?.ids
  const idAt = (path: string[]) => {
    const inner = kind === 'mutation' ? path.slice(1) : path
    const type = ids?.[inner.join('.')] ?? ids?.[`${inner.join('.')}.*`] ?? typeByName(field.name, inner.at(-1)!)
    return type ? estate[type] : estate.Project
  }
  const valueAt = (type: GraphQLInputType, path: string[]): unknown => {
    if (at && at.path.join('.') === path.join('.')) return at.value
    if (path.at(-1) === 'email') return 'eve@example.com'
    const nullable = getNullableType(type)
    if (isListType(nullable)) {
      if (isId(type)) return [idAt(path)]
      return [valueAt(nullable.ofType as GraphQLInputType, [...path, '*'])]
    }
    if (isInputObjectType(nullable)) {
      const wanted = Object.values(nullable.getFields()).filter(
        (inner) => isRequiredInputField(inner) || at?.path.slice(0, path.length + 1).join('.') === [...path, inner.name].join('.'),
      )
      const own = Object.fromEntries(wanted.map((inner) => [inner.name, valueAt(inner.type, [...path, inner.name])]))
      return path.length === 1 ? { ...own, ...beside[`${field.name} ${at?.path.at(-1)}`] } : own
    }
    if (isEnumType(nullable)) return nullable.getValues()[0]!.name
    const samples: Record<string, unknown> = { String: 'text', Int: 1, Float: 1, Boolean: true, DateTime: '2030-01-01T00:00:00Z', JSON: {} }
    return nullable.name === 'ID' ? idAt(path) : (texts[path.at(-1)!]?.() ?? samples[nullable.name])
  }
  const given = field.args.filter((arg) => isRequiredArgument(arg) || at?.path[0] === arg.name)
  return Object.fromEntries(given.map((arg) => [arg.name, valueAt(arg.type, [arg.name])]))
}

/** What an input must have beside an id, without which it would be refused whatever the id is. */
const beside: Record<string, Record<string, string>> = {
  'createApiKey odooAccountId': { kind: 'BRIDGE' },
  'importApiKey odooAccountId': { kind: 'BRIDGE', prefix: 'qb_live_text' },
}

/** Values of fields that accept a certain format only, without which their operations would be refused before anything else. */
const texts: Record<string, () => string> = {
  sha256: () => randomBytes(32).toString('hex'),
  prefix: () => 'ak_live_text',
}

/** A document that selects one field, with its arguments as variables and a small selection. */
export function documentFor(
  kind: Slot['kind'],
  field: GraphQLField<unknown, unknown>,
  variables: Record<string, unknown>,
  selection?: string,
): string {
  const given = field.args.filter((arg) => arg.name in variables)
  const declared = given.map((arg) => `$${arg.name}: ${isNonNullType(arg.type) ? arg.type : String(arg.type)}`).join(', ')
  const passed = given.map((arg) => `${arg.name}: $${arg.name}`).join(', ')
  return `${kind}${declared ? ` (${declared})` : ''} { ${field.name}${passed ? `(${passed})` : ''} ${selection ?? smallSelection(getNamedType(field.type))} }`
}

function smallSelection(type: GraphQLNamedType): string {
  if (isLeafType(type)) return ''
  const fields = isObjectType(type) || isInterfaceType(type) ? type.getFields() : {}
  if ('totalCount' in fields && 'nodes' in fields) return '{ totalCount nodes { __typename } }'
  return `{ __typename ${'id' in fields ? 'id' : ''} }`
}
