/** Servers over SSH: two processes on one database, with the real driver, against hosts that behave as a test says. */
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { operationQueue } from '../../../src/domain/access/operation/jobs.ts'
import { serverChecks } from '../../../src/domain/apps/server/check.ts'
import { sshPort } from '../../../src/domain/apps/server/index.ts'
import { seeLocalServers } from '../../../src/domain/apps/server/local.ts'
import { createSsh } from '../../../src/drivers/ssh/index.ts'
import type { Server } from '../../../src/generated/prisma/client.ts'
import { type Jobs, startJobs } from '../../../src/jobs/index.ts'
import type { Caller } from '../../../src/platform/access.ts'
import { row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { createEgressGuard } from '../../../src/platform/egress.ts'
import { decodeId } from '../../../src/platform/id.ts'
import { newHostKey } from '../../support/git-ssh-server.ts'
import { type SshHost, type SshHostOptions, startSshHost } from '../../support/ssh-host.ts'
import { newKeyPair, type Sshd, sshdMissing, startSshd } from '../../support/sshd.ts'
import { createTenant, createWorld, operation, type Tenant, type World } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'

let world: World
let tenant: Tenant
let jobs: Jobs[] = []
let hosts: SshHost[] = []

beforeAll(async () => {
  // Within a test, no server is checked again by the clock; those that are watch for it themselves.
  world = await createWorld({ SERVER_CHECK_MS: '3600000', WORKER_LEASE_MS: '1000' })
})
afterAll(() => world?.close())

beforeEach(async () => {
  tenant = await createTenant(world.app)
})
afterEach(async () => {
  await Promise.all(jobs.map((one) => one.stop({ graceMs: 0 })))
  for (const host of hosts) await host.close()
  await run(world.app.db, sql`delete from server where kind = 'ssh'`)
  jobs = []
  hosts = []
})

/** Checks servers and runs operations in a process, by default the first one. */
function work(app = world.app): void {
  const long = 60_000
  const guard = createEgressGuard({ allow: ['127.0.0.0/8'] })
  sshPort.provide(app, createSsh({ guard, timeoutsMs: { connection: long, handshake: long, login: long, command: long } }))
  jobs.push(startJobs(app, { queues: [serverChecks, operationQueue], chores: [] }))
}

const answer = (script: string) => ({ output: execFileSync('sh', { input: script, encoding: 'utf8' }) })

async function startHost(options: SshHostOptions = {}): Promise<SshHost> {
  const host = await startSshHost({ answer, ...options })
  hosts.push(host)
  return host
}

const shownFields = `id name status failureCode statusMessage cpuCores osName hostKeyType hostKeyFingerprint presentedHostKeyFingerprint lastSeenAt version`

type Input = Record<string, unknown>
type Shown = Record<string, unknown> & { id: string; status: string; statusMessage: string | null; hostKeyFingerprint: string | null }

const call = async (name: string, input: Input, fields: string, caller: Caller = tenant.owner) => {
  const type = `${name[0]!.toUpperCase()}${name.slice(1)}Input!`
  return operation(world.app, caller, `mutation ($input: ${type}) { ${name}(input: $input) { ${fields} } }`, { input })
}

async function done(name: string, input: Input): Promise<Shown> {
  const { data, errors } = await call(name, input, `server { ${shownFields} }`)
  expect(errors).toBeUndefined()
  return data![name].server
}

async function refused(name: string, input: Input, caller?: Caller) {
  const { errors } = await call(name, input, 'server { id }', caller)
  return errors?.[0]
}

const inputFor = ({ port }: { port: number }, more: Input = {}): Input => ({
  ...{ name: `server ${port}`, host: '127.0.0.1', port, sshUser: 'deploy', authMethod: 'PASSWORD', sshPassword: 'correct horse' },
  ...more,
})

const create = (host: { port: number }, more: Input = {}) => done('createServer', inputFor(host, more))

async function read(id: string): Promise<Shown | null> {
  const { data } = await operation(world.app, tenant.owner, `query ($id: ID!) { server(id: $id) { ${shownFields} } }`, { id })
  return data!.server
}

const reaches = (id: string, status: string) =>
  until(`the server is ${status}`, async () => {
    const server = await read(id)
    return server?.status === status && server
  })

const stored = (id: string) => row<Server>(world.app.db, sql`select * from server where id = ${decodeId('Server', id)}::uuid`)

/** The events of a server without those of its creation and changes. */
async function eventsOf(id: string): Promise<{ type: string; data: Record<string, unknown> }[]> {
  return rows(
    world.app.db,
    sql`select type, data from event where subject_id = ${decodeId('Server', id)}::uuid and type not in ('server.created', 'server.updated')
        order by sequence`,
  )
}
const eventTypes = async (id: string) => (await eventsOf(id)).map(({ type }) => type)

async function makeDue(id: string): Promise<void> {
  await run(world.app.db, sql`update server set next_check_at = app_now() where id = ${decodeId('Server', id)}::uuid`)
  world.app.wake.notify('servers')
}

const operationOf = (id: string, status: string) =>
  until(`the operation is ${status}`, async () => {
    const { data } = await operation(world.app, tenant.owner, 'query ($id: ID!) { operation(id: $id) { status error } }', { id })
    return data!.operation.status === status && data!.operation
  })

const noFingerprint = `SHA256:${'A'.repeat(43)}`

describe('a registered server', () => {
  it('is validated by one of several processes, and shows its host key and its facts', async () => {
    const second = await world.process()
    work()
    work(second)
    const host = await startHost()
    const server = await create(host)
    expect(server).toMatchObject({ status: 'PENDING', hostKeyFingerprint: null, cpuCores: null, lastSeenAt: null })
    expect(await reaches(server.id, 'ACTIVE')).toMatchObject({
      ...{ hostKeyType: 'ssh-ed25519', hostKeyFingerprint: expect.stringMatching(/^SHA256:/), statusMessage: null, failureCode: null },
      ...{ cpuCores: expect.any(Number), osName: expect.any(String), lastSeenAt: expect.any(String), version: server.version },
    })
    expect(await eventTypes(server.id)).toEqual(['server.active'])
    expect(host.connections()).toBe(1)
  })

  it('that refuses the login is an ERROR with the reason, its host key is pinned, and the login is not repeated soon', async () => {
    work()
    const host = await startHost({ password: 'another' })
    const { id } = await create(host)
    expect(await reaches(id, 'ERROR')).toMatchObject({
      ...{ failureCode: 'LOGIN_REFUSED', statusMessage: 'The server refused the password of deploy.' },
      hostKeyFingerprint: expect.stringMatching(/^SHA256:/),
    })
    expect(await eventsOf(id)).toEqual([{ type: 'server.failed', data: expect.objectContaining({ code: 'LOGIN_REFUSED' }) }])
    const { waitMs } = (await row<{ waitMs: number }>(
      world.app.db,
      sql`select (extract(epoch from next_check_at - app_now()) * 1000)::int as wait_ms from server where id = ${decodeId('Server', id)}::uuid`,
    ))!
    expect(waitMs).toBeGreaterThan(3_000_000)

    const operationId = (await call('validateServer', { id }, 'server { status } operation { id }')).data!.validateServer
    expect(operationId.server.status).toBe('VALIDATING')
    expect(await operationOf(operationId.operation.id, 'FAILED')).toMatchObject({ error: 'The server refused the password of deploy.' })

    // With the right password, it is another connection.
    expect(await done('updateServer', { id, authMethod: 'PASSWORD', sshPassword: 'another' })).toMatchObject({ status: 'PENDING' })
    await reaches(id, 'ACTIVE')
    const again = (await call('validateServer', { id }, 'operation { id }')).data!.validateServer.operation.id
    await operationOf(again, 'COMPLETED')
    expect(await eventTypes(id)).toEqual(['server.failed', 'server.failed', 'server.active'])
  })

  it('that has changed its host key gets no password until the new key is accepted', async () => {
    work()
    const host = await startHost()
    const { id } = await create(host)
    const pinned = (await reaches(id, 'ACTIVE')).hostKeyFingerprint!
    const { port } = host
    await host.close()
    const other = await startHost({ port, hostKeys: [newHostKey()] })
    await makeDue(id)
    const changed = await reaches(id, 'ERROR')
    const presented = changed.presentedHostKeyFingerprint as string
    expect(changed).toMatchObject({ failureCode: 'HOST_KEY_CHANGED', hostKeyFingerprint: pinned })
    for (const fingerprint of [pinned, presented]) expect(changed.statusMessage).toContain(fingerprint)
    expect(other.methods).toEqual([])
    const told = { expectedFingerprint: pinned, presentedFingerprint: presented }
    expect(await eventsOf(id)).toEqual([
      { type: 'server.active', data: expect.anything() },
      { type: 'server.host_key_changed', data: expect.objectContaining(told) },
      { type: 'server.lost', data: expect.objectContaining({ code: 'HOST_KEY_CHANGED' }) },
    ])

    expect(await refused('acceptServerHostKey', { id, fingerprint: noFingerprint })).toMatchObject({ code: 'host_key_not_presented' })
    expect(await refused('acceptServerHostKey', { id, fingerprint: 'SHA256:x' })).toMatchObject({
      code: 'invalid_input',
      field: 'fingerprint',
    })
    await done('acceptServerHostKey', { id, fingerprint: presented })
    expect(await reaches(id, 'ACTIVE')).toMatchObject({ hostKeyFingerprint: presented, presentedHostKeyFingerprint: null })
    expect((await eventTypes(id)).at(-1)).toBe('server.recovered')
  })

  it('that is moved needs its credential again, and its new host key is pinned', async () => {
    work()
    const [first, second] = [await startHost(), await startHost()]
    const { id } = await create(first)
    const before = await reaches(id, 'ACTIVE')
    expect(await refused('updateServer', { id, port: second.port })).toMatchObject({ code: 'invalid_input', field: 'authMethod' })
    expect(second.connections()).toBe(0)
    await done('updateServer', { id, port: second.port, authMethod: 'PASSWORD', sshPassword: 'correct horse' })
    const moved = await reaches(id, 'ACTIVE')
    expect(moved.hostKeyFingerprint).not.toBe(before.hostKeyFingerprint)
    expect(await eventTypes(id)).toEqual(['server.active', 'server.active'])
  })

  it('is checked again, lost after repeated failures, and recovers, with one event each', async () => {
    const often = await world.process({ SERVER_CHECK_MS: '100' })
    work(often)
    const host = await startHost()
    const { id } = await create(host)
    const { lastSeenAt } = await reaches(id, 'ACTIVE')
    await until('it is seen again', async () => (await read(id))!.lastSeenAt !== lastSeenAt)
    await host.close()
    expect(await reaches(id, 'ERROR')).toMatchObject({ failureCode: 'CONNECTION_REFUSED' })
    const { failures, lostAt } = (await stored(id))!
    expect(failures).toBeGreaterThanOrEqual(3)
    expect(lostAt).not.toBeNull()
    // The same machine has the same key.
    const { hostKeyFingerprint } = (await read(id))!
    await until('it is checked while it is lost', async () => (await stored(id))!.failures > failures)
    expect(await eventTypes(id)).toEqual(['server.active', 'server.lost'])
    await startHost({ port: host.port, hostKeys: [host.hostKey] })
    expect(await reaches(id, 'ACTIVE')).toMatchObject({ hostKeyFingerprint, statusMessage: null })
    expect(await eventTypes(id)).toEqual(['server.active', 'server.lost', 'server.recovered'])
  })
})

describe('while a host hangs', () => {
  it('others are validated, and its removal ends the check and deletes it with its credential', async () => {
    work()
    const hanging = await startHost({ hangsAt: 'login' })
    const { id } = await create(hanging)
    await until('it got the login', () => hanging.methods.length > 0)
    const other = await create(await startHost())
    await reaches(other.id, 'ACTIVE')
    expect((await read(id))!.status).toBe('VALIDATING')

    const { deleteServer } = (await call('deleteServer', { id }, 'deletedId operation { id }')).data!
    expect(deleteServer.deletedId).toBe(id)
    expect((await stored(id))!.credential).toBeNull()
    expect(await refused('updateServer', { id, name: 'late' })).toMatchObject({ code: 'not_found' })
    await operationOf(deleteServer.operation.id, 'COMPLETED')
    expect(await read(id)).toBeNull()
    expect(await eventTypes(id)).toEqual(['server.deleted'])
    expect((await read(other.id))!.status).toBe('ACTIVE')
  })

  it('an organization with many such hosts leaves room for the checks of others', async () => {
    for (let port = 1; port <= 10; port++) await create({ port })
    const claimed = async () => (await serverChecks.claim(world.app, 'worker', 32, [])).items
    expect(await claimed()).toHaveLength(8)
    const other = await createTenant(world.app)
    await call('createServer', inputFor({ port: 1 }), 'server { id }', other.owner)
    expect((await claimed()).map((item) => item.organizationId)).toEqual([other.organizationId])
  })

  it('a change ends the check, and its result does not count', async () => {
    work()
    const hanging = await startHost({ hangsAt: 'command' })
    const { id } = await create(hanging)
    await until('it got the login', () => hanging.methods.length > 0)
    const host = await startHost()
    await done('updateServer', { id, port: host.port, authMethod: 'PASSWORD', sshPassword: 'correct horse' })
    await reaches(id, 'ACTIVE')
    expect(await eventTypes(id)).toEqual(['server.active'])
  })

  it('a process that stops leaves the check to another one', async () => {
    const second = await world.process()
    work(second)
    const host = await startHost({ hangsAt: 'login' })
    const { id } = await create(host)
    await until('it got the login', () => host.methods.length > 0)
    await jobs.pop()!.stop({ graceMs: 0 })
    await host.close()
    await startHost({ port: host.port, hostKeys: [host.hostKey] })
    work()
    await reaches(id, 'ACTIVE')
  })
})

describe('input', () => {
  const place = { port: 22 }
  const key = newKeyPair().privateKey

  it.each<[Input, string, string]>([
    [{ sshPassword: undefined }, 'sshPassword', 'is required with authMethod PASSWORD'],
    [{ sshPrivateKey: key }, 'sshPrivateKey', 'must be omitted with authMethod PASSWORD'],
    [{ authMethod: 'PRIVATE_KEY', sshPassword: undefined }, 'sshPrivateKey', 'is required with authMethod PRIVATE_KEY'],
    [{ authMethod: 'PRIVATE_KEY', sshPassword: undefined, sshPrivateKey: 'no key' }, 'sshPrivateKey', 'is not a valid private key'],
    [{ host: 'ssh://rack4' }, 'host', 'must be a host name or an IP address'],
    [{ host: 'rack4:22' }, 'host', 'must be a host name or an IP address'],
    [{ port: 0 }, 'port', '1'],
    [{ sshUser: 'a\nb' }, 'sshUser', 'control characters'],
  ])('%j is refused: %s %s', async (input, field, text) => {
    expect(await refused('createServer', inputFor(place, input))).toMatchObject({
      ...{ code: 'invalid_input', field },
      message: expect.stringContaining(text),
    })
  })

  it('a private key with a passphrase is refused', async () => {
    const locked = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open sesame' },
    }).privateKey
    const input = inputFor(place, { authMethod: 'PRIVATE_KEY', sshPassword: undefined, sshPrivateKey: locked })
    expect(await refused('createServer', input)).toMatchObject({ code: 'invalid_input', field: 'sshPrivateKey' })
    expect((await refused('createServer', input))!.message).toContain('must not be protected by a passphrase')
  })

  it('a name is used once, and callers that are limited to projects register and change nothing', async () => {
    const { id } = await create(place, { name: 'Rack 4' })
    expect(await refused('createServer', inputFor(place, { name: 'Rack 4' }))).toMatchObject({ code: 'server_name_taken', field: 'name' })
    expect(await refused('updateServer', { id, name: 'local' })).toMatchObject({ code: 'server_name_taken' })
    const { data } = await operation(world.app, tenant.owner, 'mutation { createProject(input: {name: "One"}) { project { id } } }')
    const limited = tenant.key('ADMIN', decodeId('Project', data!.createProject.project.id))
    expect(await refused('createServer', inputFor(place, { name: 'Rack 5' }), limited)).toMatchObject({ code: 'forbidden' })
    expect(await refused('validateServer', { id }, limited)).toMatchObject({ code: 'not_found' })
  })
})

it('services are placed on the local server, and another one is refused', async () => {
  const ask = async (source: string, variables = {}) => (await operation(world.app, tenant.owner, source, variables)).data!
  const projectId = (await ask('mutation { createProject(input: {name: "One"}) { project { id } } }')).createProject.project.id
  const local = (await ask('{ servers { nodes { id } } }')).servers.nodes[0].id
  const { id: other } = await create({ port: 22 })
  const place = (serverId: string) => call('createWebService', { projectId, name: 'Web', serverId }, 'webService { name }')
  expect((await place(local)).data!.createWebService.webService.name).toBe('Web')
  expect((await place(other)).errors?.[0]).toMatchObject({ code: 'placement_unsupported', field: 'serverId' })
  expect((await place('srv_00000000000000000000000000')).errors?.[0]).toMatchObject({ code: 'not_found', field: 'serverId' })
})

describe('the local server', () => {
  const localId = async () => {
    const { data } = await operation(
      world.app,
      tenant.owner,
      '{ servers { nodes { id kind status cpuCores ramTotalBytes kernel lastSeenAt } } }',
    )
    return data!.servers.nodes[0] as Record<string, unknown> & { id: string }
  }

  it('is ACTIVE with the facts of this machine from the start, and is seen again', async () => {
    const local = await localId()
    const kernel = execFileSync('uname', ['-sr'], { encoding: 'utf8' }).trim()
    expect(local).toMatchObject({ kind: 'local', status: 'ACTIVE', cpuCores: expect.any(Number), kernel, lastSeenAt: expect.any(String) })
    await run(
      world.app.db,
      sql`update server set last_seen_at = app_now() - interval '1 day', cpu_cores = null where id = ${decodeId('Server', local.id)}::uuid`,
    )
    await seeLocalServers.run(world.app, new AbortController().signal)
    const seen = await localId()
    expect(seen.cpuCores).toBe(local.cpuCores)
    expect(Date.parse(seen.lastSeenAt as string)).toBeGreaterThanOrEqual(Date.parse(local.lastSeenAt as string))
  })

  it('can be renamed and validated, but has no connection and is not deleted', async () => {
    work()
    const { id } = await localId()
    expect(await done('updateServer', { id, name: 'Home' })).toMatchObject({ name: 'Home', status: 'ACTIVE' })
    expect(await refused('updateServer', { id, host: '127.0.0.1' })).toMatchObject({ code: 'server_is_local' })
    expect((await call('deleteServer', { id }, 'deletedId')).errors?.[0]).toMatchObject({ code: 'server_is_local' })
    const { validateServer } = (await call('validateServer', { id }, 'operation { id }')).data!
    await operationOf(validateServer.operation.id, 'COMPLETED')
  })
})

describe.skipIf(sshdMissing)(sshdMissing ?? 'a real OpenSSH server', () => {
  let sshd: Sshd
  const pair = generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  beforeAll(async () => {
    const { default: sshpk } = await import('sshpk')
    sshd = await startSshd({ authorized: [sshpk.parseKey(pair.publicKey, 'pem').toString('ssh')] })
  })
  afterAll(() => sshd?.close())

  it('accepts a key in PEM format, and its host key is shown as ssh-keygen prints it', async () => {
    work()
    const credential = { sshUser: sshd.user, authMethod: 'PRIVATE_KEY', sshPassword: undefined, sshPrivateKey: pair.privateKey }
    const { id } = await create(sshd, credential)
    expect(await reaches(id, 'ACTIVE')).toMatchObject({ hostKeyFingerprint: sshd.fingerprint, osName: expect.any(String) })
  })
})
