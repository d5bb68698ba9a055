import { platformDialect } from '../../../src/rest/platform/index.ts'
import { signIn } from '../../support/person.ts'
import { describeDialect } from '../dialect-suite.ts'

describeDialect({
  dialect: platformDialect,
  textOf: (body) => (body as { detail?: unknown } | null)?.detail,
  async populate({ app, call }, { key, owner }) {
    const project = await call('POST', '/api/projects', { key: key.ADMIN, body: { name: 'Shop' } })
    const service = await call('POST', '/api/web-services', {
      key: key.ADMIN,
      body: { name: 'Web', project_id: project.body.id, git_repository_url: 'https://git.example.com/shop/web.git' },
    })
    const deployment = await call('POST', `/api/web-services/${service.body.id}/deployments`, { key: key.ADMIN })
    const ofService = `/api/web-services/${service.body.id}`
    const variable = await call('POST', `${ofService}/env`, { key: key.ADMIN, body: { key: 'TOKEN', value: 'abc', is_secret: true } })
    const secret = await call('POST', `/api/projects/${project.body.id}/secrets`, {
      key: key.ADMIN,
      body: { key: 'PASSWORD', value: 'def' },
    })
    const binding = await call('POST', `${ofService}/secret-bindings`, { key: key.ADMIN, body: { project_secret_id: secret.body.id } })
    const database = await call('POST', '/api/databases', { key: key.ADMIN, body: { name: 'Orders', project_id: project.body.id } })
    const redis = await call('POST', '/api/redis', { key: key.ADMIN, body: { name: 'Cache', project_id: project.body.id } })
    const bucket = await call('POST', '/api/storage/buckets', { key: key.ADMIN, body: { name: `bucket-${project.body.id}` } })
    const permissions = { read: true }
    const storageKey = await call('POST', '/api/storage/keys', {
      key: key.ADMIN,
      body: { name: 'Web', buckets: [bucket.body.id], permissions },
    })
    const email = await call('POST', '/api/email/services', { key: key.ADMIN, body: { name: 'Receipts' } })
    const domain = await call('POST', `/api/email/services/${email.body.id}/domains`, { key: key.ADMIN, body: { domain: 'shop.example' } })
    const { accessToken } = await signIn(app, owner)
    const apiKey = await call('POST', '/api/api-keys', { key: accessToken, body: { name: 'CI', scope: 'read' } })
    return {
      project_id: project.body.id,
      web_service_id: service.body.id,
      deployment_id: deployment.body.id,
      var_id: variable.body.id,
      secret_id: secret.body.id,
      binding_id: binding.body.id,
      database_id: database.body.id,
      redis_id: redis.body.id,
      bucket_id: bucket.body.id,
      key_id: storageKey.body.id,
      service_id: email.body.id,
      domain_id: domain.body.id,
      api_key_id: apiKey.body.id,
    }
  },
  bodies: ({ secret_id, database_id, bucket_id }) => ({
    createProject: { name: 'Refused' },
    createApiKey: { name: 'Refused', scope: 'read' },
    createWebService: { name: 'Refused' },
    createEnvVar: { key: 'TOKEN', value: 'abc' },
    createSecret: { key: 'PASSWORD', value: 'def' },
    createDatabase: { name: 'Refused' },
    createRedis: { name: 'Refused' },
    createBucket: { name: 'refused' },
    presignObject: { key: 'a.txt', method: 'GET' },
    createStorageKey: { name: 'Refused', buckets: [bucket_id], permissions: { read: true } },
    connectDatabase: { target_type: 'postgresql', target_id: database_id, env_var_key: 'DATABASE_URL' },
    createEmailService: { name: 'Refused' },
    createEmailWebhook: { url: 'http://127.0.0.1:9/', events: ['delivered'] },
    createEmailApiKey: { name: 'Refused' },
    addSendingDomain: { domain: 'refused.example' },
    addSandboxRecipient: { email: 'ada@example.com' },
    sendEmail: { from: 'shop@shop.example', to: ['ada@example.com'], subject: 'Hello', text: 'Hello' },
    bindSecret: { project_secret_id: secret_id, alias_key: 'PASSWORD' },
  }),
})
