import { createWebService } from '../../../src/domain/apps/web-service/index.ts'
import type { WebService } from '../../../src/generated/prisma/client.ts'
import { execute } from '../../../src/platform/command.ts'
import { newRow, run, sql } from '../../../src/platform/db/index.ts'
import { newId } from '../../../src/platform/id.ts'
import type { App } from '../../../src/platform/work.ts'
import { ocoreDialect } from '../../../src/rest/ocore/index.ts'
import { signIn } from '../../support/person.ts'
import { describeDialect } from '../dialect-suite.ts'
import { ocoreKeys, type Tenant, type TestServer } from '../support.ts'

/** What belongs to the account of the owner. */
async function populateAccount({ app, call }: TestServer, { owner }: Tenant) {
  await run(app.db, sql`update user_account set is_administrator = true where id = ${owner.userId}::uuid`)
  app.wake.notify('credentials')
  const { accessToken } = await signIn(app, owner)
  const list = async (path: string) => (await call('GET', `/api/user${path}`, { key: accessToken })).body.data
  const [sshKeyId, passkeyId] = [newId(), newId()]
  const key = { label: 'laptop', keyType: 'ssh-ed25519', publicKey: 'ssh-ed25519 AAAA', fingerprint: `SHA256:${sshKeyId}` }
  await run(app.db, sql`insert into ssh_key ${newRow({ id: sshKeyId, userId: owner.userId, ...key })}`)
  const passkey = { name: 'phone', credentialId: Buffer.from(passkeyId), publicKey: Buffer.from('key'), counter: 0n, transports: ['usb'] }
  await run(app.db, sql`insert into passkey ${newRow({ id: passkeyId, userId: owner.userId, backedUp: false, ...passkey })}`)
  const [session] = await list('/sessions')
  return { sessionId: session.id, sshKeyId, passkeyId }
}

/** Gives a service what an Odoo instance has. */
async function addInstance(app: App, { id, organizationId, projectId, environmentId }: WebService) {
  const settings = { odooVersion: '17.0', edition: 'COMMUNITY', workers: 2, adminPassword: Buffer.from('sealed') }
  await run(app.db, sql`insert into odoo_instance ${newRow({ id, organizationId, projectId, environmentId, ...settings })}`)
}

const connection = { host: '127.0.0.1', port: 9, sshUser: 'deploy', authMethod: 'password', sshPassword: 'hunter2' }

describeDialect({
  dialect: ocoreDialect,
  keys: ocoreKeys,
  textOf: (body) => (body as { error?: { message?: unknown } } | null)?.error?.message,
  async populate(server, tenant) {
    const { app, call } = server
    const { key, organizationId, owner } = tenant
    const project = await call('POST', '/api/projects', { key: key.ADMIN, body: { name: 'Shop' } })
    const environment = await call('POST', '/api/environments', {
      key: key.ADMIN,
      body: { projectId: project.body.id, name: 'Trial', environmentType: 'staging' },
    })
    const role = await call('POST', '/api/roles', { key: key.ADMIN, body: { name: 'Deployer', permissionIds: ['deploy:web_services'] } })
    const [memberId, userId] = [newId(), newId()]
    await run(app.db, sql`insert into user_account ${newRow({ id: userId, name: 'Ada', email: `ada-${userId}@example.com` })}`)
    await run(app.db, sql`insert into member ${newRow({ id: memberId, organizationId, userId, roleId: role.body.id })}`)
    const as = { app, caller: owner, requestId: 'test' }
    const place = { projectId: project.body.id, environmentId: environment.body.id }
    const service = { name: 'Web', ...place, repositoryUrl: 'https://git.example.com/a/b.git' }
    const { webService } = await execute(as, createWebService, service)
    await addInstance(app, webService)
    const deployment = await call('POST', `/api/projects/${project.body.id}/deployments`, { key: key.ADMIN })
    const hook = await call('POST', '/api/webhook-endpoints', {
      key: key.ADMIN,
      body: { url: 'https://hooks.example.com', events: ['deployment.failed'] },
    })
    const delivery = await call('POST', `/api/webhook-endpoints/${hook.body.id}/test`, { key: key.ADMIN })
    const domain = { domain: `${newId()}.example.com` }
    const added = await call('POST', `/api/instances/${webService.id}/domains`, { key: key.ADMIN, body: domain })
    const apiKey = await call('POST', '/api/api-keys', { key: key.ADMIN, body: { name: 'CI', permissions: ['view:projects'] } })
    const registered = await call('POST', '/api/servers', { key: key.ADMIN, body: { name: 'Rack 4', ...connection } })
    return {
      ...(await populateAccount(server, tenant)),
      apiKeyId: apiKey.body.id,
      memberId,
      userId,
      jobId: deployment.body.id,
      roleId: role.body.id,
      projectId: project.body.id,
      environmentId: environment.body.id,
      endpointId: hook.body.id,
      deliveryId: delivery.body.id,
      serviceId: webService.id,
      instanceId: webService.id,
      domainId: added.body.id,
      deploymentId: deployment.body.id,
      serverId: registered.body.id,
    }
  },
  bodies: ({ projectId, roleId }) => ({
    createAdminUser: { email: 'refused@example.com', name: 'Refused', password: 'correct horse battery', orgId: newId() },
    inviteMember: { email: 'grace@example.com', roleId: roleId! },
    updateMemberRole: { roleId: roleId! },
    createApiKey: { name: 'Refused', permissions: ['view:projects'] },
    createRole: { name: 'Refused', permissionIds: [] },
    createWebhookEndpoint: { url: 'https://hooks.example.com', events: ['deployment.failed'] },
    replayWebhookEndpoint: { since: '2026-01-01T00:00:00Z' },
    createServer: { name: 'Refused', ...connection },
    createProject: { name: 'Refused' },
    createInstance: { projectId: projectId!, name: 'Refused' },
    createEnvironment: { projectId: projectId!, name: 'Refused', environmentType: 'staging' },
  }),
})
