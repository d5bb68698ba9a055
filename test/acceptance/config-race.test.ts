/** Configuration that is removed while a deployment that uses it is in progress. */
import { expect, it } from 'vitest'
import { acceptance, type Data, until } from './support.ts'

const world = acceptance()

const shown = ['PLAIN', 'DELETED', 'REVOKED']
const files = {
  Procfile: 'web: node server.js\n',
  'server.js': `require('node:http').createServer((_request, response) =>
    response.end(JSON.stringify(Object.fromEntries(${JSON.stringify(shown)}.map((key) => [key, process.env[key]]))))).listen(process.env.PORT)
`,
}

const given = async (service: Data) => JSON.parse((await world.server.router(service.slug, '/')).body)

/** A service with a plain variable and two bound secrets, whose deployment is held in BUILD by a gate. */
async function heldDeployment(name: string) {
  const repository = await world.repository(files)
  const gate = await world.gate()
  const service = await world.service({ name, repositoryUrl: repository.url, buildCommand: gate.wait })
  const { webService } = await world.server.gql('query ($id: ID!) { webService(id: $id) { project { id } } }', { id: service.id })
  const projectId = webService.project.id
  const { envVars } = await world.mutate(
    'setEnvVars',
    { webServiceId: service.id, variables: [{ key: 'PLAIN', value: `plain of ${name}` }] },
    'envVars { id }',
  )
  const secrets: Data[] = []
  for (const alias of ['DELETED', 'REVOKED']) {
    const input = { projectId, key: `${alias}_OF_${name.toUpperCase()}`, scope: 'PRODUCTION', value: `${alias} secret value of ${name}` }
    const { secret } = await world.mutate('createSecret', input, 'secret { id }')
    await world.mutate('bindSecret', { webServiceId: service.id, secretId: secret.id, alias }, 'secretBinding { id }')
    secrets.push(secret)
  }
  const deployment = await world.deploy(service)
  await world.phase(deployment, 'BUILD')
  return { gate, service, projectId, deployment, envVar: envVars[0] as Data, deleted: secrets[0]!, revoked: secrets[1]! }
}

async function takeAway({ envVar, deleted, revoked }: Awaited<ReturnType<typeof heldDeployment>>): Promise<void> {
  await world.mutate('deleteEnvVar', { id: envVar.id }, 'deletedId')
  await world.mutate('deleteSecret', { id: deleted.id, force: true }, 'deletedId')
  await world.mutate('revokeSecretVersion', { secretId: revoked.id, version: 1 }, 'secret { versions { status } }')
}

it('a deployment in progress uses the configuration that it saved; the next one omits what was removed, with a warning', async () => {
  const held = await heldDeployment('Warned')
  await takeAway(held)
  held.gate.open()
  expect(await world.end(held.deployment)).toMatchObject({ status: 'LIVE' })
  expect(await given(held.service)).toEqual({
    PLAIN: 'plain of Warned',
    DELETED: 'DELETED secret value of Warned',
    REVOKED: 'REVOKED secret value of Warned',
  })

  const planned = await world.server.gql(
    'query ($id: ID!) { deployPlan(webServiceId: $id) { changes { kind key } warnings } webService(id: $id) { pendingConfig } }',
    { id: held.service.id },
  )
  expect(planned.webService.pendingConfig).toBe(true)
  for (const key of shown) expect(planned.deployPlan.changes).toContainEqual({ kind: 'VARIABLE_REMOVED', key })
  expect(planned.deployPlan.warnings).toEqual([expect.stringContaining('REVOKED')])

  const next = await world.live(held.service)
  expect(await given(held.service)).toEqual({})
  const warned = (await world.log(next)).map(({ message }) => message).filter((message) => message.includes('REVOKED'))
  expect(warned).toEqual(planned.deployPlan.warnings)
})

it('so it does under STRICT; the next one fails and names the key without a value, and the service keeps running', async () => {
  const held = await heldDeployment('Strict')
  const strict = { scope: 'PRODUCTION', chain: [], mode: 'STRICT' }
  await world.mutate('updateProject', { id: held.projectId, secretFallback: [strict] }, 'project { id }')
  await takeAway(held)
  held.gate.open()
  expect(await world.end(held.deployment)).toMatchObject({ status: 'LIVE' })
  const failed = await world.end(await world.deploy(held.service))
  expect(failed).toMatchObject({ status: 'FAILED', failure: { phase: 'PREPARE', code: 'CONFIG_UNRESOLVED' } })
  expect(failed.failure.message).toContain('REVOKED')
  expect(await given(held.service)).toMatchObject({ REVOKED: 'REVOKED secret value of Strict' })

  // An instance that is started later also gets the configuration that its deployment saved.
  const [former] = (await world.read(held.service)).instances
  await world.command('restartWebService', held.service)
  await until('a new instance serves alone', async () => {
    const { instances, status } = await world.read(held.service)
    return status === 'RUNNING' && instances.length === 1 && instances[0].id !== former.id
  })
  expect(await given(held.service)).toMatchObject({ PLAIN: 'plain of Strict', REVOKED: 'REVOKED secret value of Strict' })
  await world.mutate('updateProject', { id: held.projectId, secretFallback: null }, 'project { id }')
})
