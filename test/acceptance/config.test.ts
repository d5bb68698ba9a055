/** Configuration of a deployed app: injection, plans, rollback, and redaction in logs. */
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { acceptance, type Data, refusalOf, until } from './support.ts'

const world = acceptance()

/** An app that answers with the hash of its environment, and prints variables when it builds and starts. */
const files = {
  'package.json': JSON.stringify({
    name: 'config',
    version: '1.0.0',
    private: true,
    scripts: { build: 'node build.js', start: 'node server.js' },
  }),
  'build.js':
    'console.log("token at build", process.env.API_TOKEN)\nconsole.log("BUILD_ONLY", process.env.BUILD_ONLY, "RUN_ONLY", process.env.RUN_ONLY)\n',
  'server.js': `const { createHash } = require('node:crypto')
const own = new Set(['PATH', 'HOME', 'TMPDIR', 'LANG', 'USER', 'SHELL', 'PORT', 'HOST', 'PWD', 'SHLVL', '_', 'OLDPWD', 'INIT_CWD', 'NODE', 'COLOR', 'EDITOR'])
const given = Object.entries(process.env).filter(([key]) => !own.has(key) && !key.startsWith('npm_')).sort(([a], [b]) => (a < b ? -1 : 1))
const hash = createHash('sha256').update(JSON.stringify(given)).digest('hex')
for (const form of ['utf8', 'base64', 'hex']) console.log('token', form, Buffer.from(process.env.API_TOKEN ?? '').toString(form))
console.log(JSON.stringify({ pem: process.env.PEM }))
console.log(process.env.PEM)
require('node:http').createServer((request, response) => response.end(request.url === '/env' ? JSON.stringify(process.env) : hash)).listen(process.env.PORT)
`,
}

const hashOf = (values: { key: string; value: string }[]) => {
  const given = values.map(({ key, value }) => [key, value]).sort(([a], [b]) => (a! < b! ? -1 : 1))
  return createHash('sha256').update(JSON.stringify(given)).digest('hex')
}

const resolvedFields = `key value maskedValue fingerprint isSecret source { kind id scope version } isFallback requestedScope alias
  shadowed { source { kind } reason } changedSinceLive changedAt changedBy warnings`

const resolved = async (id: string): Promise<Data[]> =>
  (await world.server.gql(`query ($id: ID!) { webService(id: $id) { resolvedEnv { ${resolvedFields} } } }`, { id })).webService.resolvedEnv

const plan = async (webServiceId: string): Promise<Data> =>
  (
    await world.server.gql('query ($id: ID!) { deployPlan(webServiceId: $id) { changes { kind key from to } warnings current { id } } }', {
      id: webServiceId,
    })
  ).deployPlan

const pending = async (id: string): Promise<boolean> =>
  (await world.server.gql('query ($id: ID!) { webService(id: $id) { pendingConfig } }', { id })).webService.pendingConfig

const projectOf = async (id: string): Promise<string> =>
  (await world.server.gql('query ($id: ID!) { webService(id: $id) { project { id } } }', { id })).webService.project.id

const reveal = async (webServiceId: string) => (await world.mutate('revealResolvedEnv', { webServiceId }, 'values { key value }')).values

const createSecret = async (projectId: string, key: string, scope: string, value: string): Promise<Data> =>
  (await world.mutate('createSecret', { projectId, key, scope, value }, 'secret { id currentVersion fingerprint value maskedValue }'))
    .secret

const token = 'tök3n-"canary"-0123456789/+abc'
const pem = '-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nEFAASCBKcwggSjAgEAAoIB\n-----END KEY-----'

describe('the configuration of a service', () => {
  it('is injected as resolvedEnv shows it, planned, restored, and redacted everywhere', async () => {
    const repository = await world.repository(files)
    const service = await world.service({ name: 'Config', repositoryUrl: repository.url })
    const { id } = service
    const projectId = await projectOf(id)

    await world.mutate(
      'setEnvVars',
      {
        webServiceId: id,
        variables: [
          { key: 'MODE', value: 'first' },
          { key: 'EMPTY', value: '' },
          { key: 'LINES', value: 'one\ntwo\t"three" $HOME \\n' },
          { key: 'SHADOWED', value: 'own wins' },
          { key: 'PORT', value: '3000' },
          { key: 'BUILD_ONLY', value: 'b', runTime: false },
          { key: 'RUN_ONLY', value: 'r', buildTime: false },
          { key: 'PEM', value: pem, isSecret: true },
        ],
      },
      'envVars { key value maskedValue } warnings',
    )
    const staging = await createSecret(projectId, 'API_TOKEN', 'STAGING', token)
    const other = await createSecret(projectId, 'OTHER', 'PRODUCTION', 'other-value')
    expect(staging).toMatchObject({ value: null, maskedValue: '********', currentVersion: 1 })
    await world.mutate('bindSecret', { webServiceId: id, secretId: staging.id }, 'secretBinding { alias }')
    const bound = await world.mutate(
      'bindSecret',
      { webServiceId: id, secretId: other.id, alias: 'SHADOWED' },
      'secretBinding { id } warnings',
    )
    expect(bound.warnings[0]).toContain('own env var wins')
    expect(await pending(id)).toBe(false)

    const first = await world.live(service)
    const shown = await resolved(id)
    const byKey = new Map(shown.map((item) => [item.key, item]))
    expect(byKey.get('API_TOKEN')).toMatchObject({
      value: null,
      maskedValue: '********',
      isSecret: true,
      isFallback: true,
      requestedScope: 'PRODUCTION',
      alias: 'API_TOKEN',
      source: { kind: 'SECRET_BINDING', id: staging.id, scope: 'STAGING', version: 1 },
      fingerprint: staging.fingerprint,
      changedSinceLive: false,
      warnings: ['API_TOKEN has no value at PRODUCTION and falls back to STAGING.'],
    })
    expect(byKey.get('SHADOWED')).toMatchObject({
      value: 'own wins',
      source: { kind: 'ENV_VAR' },
      shadowed: [{ source: { kind: 'SECRET_BINDING' }, reason: 'env_var_wins' }],
    })
    expect(byKey.get('PORT')).toMatchObject({ value: null, shadowed: [{ source: { kind: 'ENV_VAR' }, reason: 'reserved' }] })
    expect(shown.filter((item) => item.changedSinceLive)).toEqual([])

    const values = (await reveal(id)).filter(({ key }: { key: string }) => key !== 'BUILD_ONLY')
    const answer = await world.server.router(service.slug, '/')
    expect(answer.body).toBe(hashOf(values))
    expect(JSON.parse((await world.server.router(service.slug, '/env')).body)).toMatchObject({
      LINES: 'one\ntwo\t"three" $HOME \\n',
      EMPTY: '',
      PEM: pem,
    })
    expect(await plan(id)).toEqual({
      changes: [],
      warnings: expect.arrayContaining([expect.stringContaining('falls back to STAGING')]),
      current: { id: first.id },
    })

    const buildLog = (await world.log(first)).map((line) => line.message)
    expect(buildLog).toContain('token at build [redacted]')
    expect(buildLog).toContain('BUILD_ONLY b RUN_ONLY undefined')
    const redactions = async (): Promise<Data[]> =>
      (await world.server.gql('query ($id: ID!) { deployment(id: $id) { redactions { key count } } }', { id: first.id })).deployment
        .redactions
    // The output of an instance is stored, and its redactions counted, with some delay.
    const counted = await until('all output of the instance is stored', async () => {
      const now = await redactions()
      return now.some(({ key, count }) => key === 'PEM' && count >= 5) && now
    })
    const runLog = (await world.serviceLog(service)).map((line) => line.message)
    expect(runLog).toContain('token utf8 [redacted]')
    expect(runLog).toContain('token base64 [redacted]')
    expect(runLog).toContain('token hex [redacted]')
    expect(runLog).toContain('{"pem":"[redacted]"}')
    expect(runLog.join('\n')).not.toContain('MIIEvQ')
    expect(counted).toEqual([
      { key: 'API_TOKEN', count: 4 },
      { key: 'PEM', count: 5 },
    ])

    // A change is pending until it is deployed on demand.
    await world.mutate('updateSecret', { id: staging.id, value: 'second-token' }, 'secret { currentVersion }')
    expect(await pending(id)).toBe(true)
    expect((await plan(id)).changes).toEqual([
      { kind: 'VARIABLE_CHANGED', key: 'API_TOKEN', from: staging.fingerprint, to: expect.stringMatching(/^[0-9a-f]{32}$/) },
    ])
    const set = await world.mutate(
      'setEnvVars',
      { webServiceId: id, variables: [{ key: 'MODE', value: 'second' }], deploy: true },
      'deployment { id trigger kind commitHash }',
    )
    expect(set.deployment).toMatchObject({ trigger: 'CONFIG_CHANGE' })
    const second = await world.end(set.deployment)
    expect(second).toMatchObject({ status: 'LIVE', commitHash: first.commitHash })
    expect(await pending(id)).toBe(false)
    expect((await world.server.router(service.slug, '/')).body).toBe(
      hashOf((await reveal(id)).filter(({ key }: { key: string }) => key !== 'BUILD_ONLY')),
    )

    // A rollback restores the variables. The restored secret version was revoked, so the current one replaces it.
    await world.mutate('revokeSecretVersion', { secretId: staging.id, version: 1 }, 'secret { versions { version status } }')
    const back = await world.server.gql(
      'query ($id: ID!) { rollbackPlan(deploymentId: $id) { eligible blockers { code } changes { kind key from to } warnings } }',
      { id: first.id },
    )
    expect(back.rollbackPlan).toMatchObject({
      eligible: true,
      changes: [{ kind: 'VARIABLE_CHANGED', key: 'MODE', from: 'second', to: 'first' }],
      warnings: ['API_TOKEN: version 1 of its secret was revoked. Its current value is used instead.'],
    })
    const restored = await world.end(await world.rollback(first))
    expect(restored.status).toBe('LIVE')
    const env = JSON.parse((await world.server.router(service.slug, '/env')).body)
    expect(env).toMatchObject({ MODE: 'first', API_TOKEN: 'second-token', QUAYSIDE_DEPLOYMENT_ID: restored.id })
    expect((await world.log(restored)).map((line) => line.message)).toContain(
      'API_TOKEN: version 1 of its secret was revoked. Its current value is used instead.',
    )
    const current = await world.end(await world.rollback(second, { config: 'CURRENT' }))
    expect(current.status).toBe('LIVE')
    expect(JSON.parse((await world.server.router(service.slug, '/env')).body)).toMatchObject({ MODE: 'second' })
  })

  it('fails a deployment under STRICT if a key has no value, and omits the key under WARN', async () => {
    const repository = await world.repository(files)
    const service = await world.service({ name: 'Strict', repositoryUrl: repository.url })
    const projectId = await projectOf(service.id)
    const secret = await createSecret(projectId, 'ONLY_BELOW', 'DEVELOPMENT', 'value-of-development')
    await world.mutate('bindSecret', { webServiceId: service.id, secretId: secret.id }, 'secretBinding { id }')
    const strict = { scope: 'PRODUCTION', chain: ['STAGING', 'DEVELOPMENT'], mode: 'STRICT' }
    await world.mutate('updateProject', { id: projectId, secretFallback: [strict] }, 'project { secretFallback { scope chain mode } }')
    const failed = await world.end(await world.deploy(service))
    expect(failed).toMatchObject({ status: 'FAILED', failure: { phase: 'PREPARE', code: 'CONFIG_UNRESOLVED' } })
    expect(failed.failure.message).toContain('ONLY_BELOW')
    await world.mutate('updateProject', { id: projectId, secretFallback: null }, 'project { id }')
    await world.live(service)
    expect(JSON.parse((await world.server.router(service.slug, '/env')).body)).toMatchObject({ ONLY_BELOW: 'value-of-development' })
  })

  it('refuses a write that requests a deployment of a service without a repository', async () => {
    const service = await world.service({ name: 'Bare' })
    const refused = await refusalOf(
      world.mutate('setEnvVars', { webServiceId: service.id, variables: [{ key: 'A', value: 'b' }], deploy: true }, 'envVars { key }'),
    )
    expect(refused.code).toBe('repository_missing')
    const read = await world.server.gql('query ($id: ID!) { webService(id: $id) { envVars { key } } }', { id: service.id })
    expect(read.webService.envVars).toEqual([])
  })
})
