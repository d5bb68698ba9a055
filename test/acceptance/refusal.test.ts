/** Invalid requests, and failures of repositories and apps: each has its code, and the previous release keeps serving. */
import { createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import type { RepositoryFiles } from '../support/git-repository.ts'
import { acceptance, type Data, refusalOf, until } from './support.ts'

const world = acceptance({ PREPARE_TIMEOUT_MS: '30000' })

/** A service with a healthy live release, over which the given app is deployed. */
async function deployOver(
  name: string,
  { files = {}, settings = {}, wish = {} }: { files?: RepositoryFiles; settings?: Data; wish?: Data },
) {
  const repository = await world.app('lab')
  const service = await world.service({ name, repositoryUrl: repository.url })
  const first = await world.live(service)
  const boot = (await world.server.router(service.slug, '/boot')).body
  if (Object.keys(files).length > 0) await repository.commit(files, 'bad')
  if (Object.keys(settings).length > 0) await world.mutate('updateWebService', { id: service.id, ...settings }, 'webService { id }')
  const failed = await world.end(await world.deploy(service, wish))
  expect(failed).toMatchObject({ status: 'FAILED', isLive: false })
  // The same process as before.
  expect(await world.server.router(service.slug, '/boot')).toMatchObject({
    status: 200,
    body: boot,
    headers: { 'x-quayside-deployment': first.id },
  })
  expect(await world.read(service)).toMatchObject({ status: 'RUNNING', liveDeployment: { id: first.id }, activeDeployment: null })
  await until('only its instance is left', async () => (await world.read(service)).instances.length === 1)
  const messages = (await world.log(failed)).map((line) => line.message)
  expect(messages.some((message) => message.includes(failed.failure.code))).toBe(true)
  return { service, failed, failure: failed.failure, messages }
}

describe.concurrent('a source that is not right', () => {
  it('fails for an unknown branch, naming it', async () => {
    const { failure } = await deployOver('Branch', { wish: { branch: 'nowhere' } })
    expect(failure).toMatchObject({ phase: 'PREPARE', code: 'COMMIT_NOT_FOUND', message: expect.stringContaining('nowhere') })
  })

  it('fails for an unknown commit', async () => {
    const { failure } = await deployOver('Commit', { wish: { commit: '0123456789abcdef0123456789abcdef01234567' } })
    expect(failure).toMatchObject({ code: 'COMMIT_NOT_FOUND' })
  })

  it('fails for a repository that is not there', async () => {
    const { failure } = await deployOver('Gone', { settings: { repositoryUrl: 'file:///nowhere/at/all' } })
    expect(failure).toMatchObject({ phase: 'PREPARE', code: 'REPOSITORY_MISSING' })
  })

  it('fails for an address where no server listens', async () => {
    const { failure } = await deployOver('Unreachable', { settings: { repositoryUrl: 'http://127.0.0.1:9/shop.git' } })
    expect(failure).toMatchObject({ phase: 'PREPARE', code: 'SOURCE_UNREACHABLE' })
  })

  it('fails for a server that never answers, within the deadline', async () => {
    const silent = createServer(() => {})
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as { port: number }
    try {
      const { failure } = await deployOver('Silent', { settings: { repositoryUrl: `http://127.0.0.1:${port}/shop.git` } })
      expect(failure).toMatchObject({ phase: 'PREPARE', code: 'PHASE_TIMEOUT' })
    } finally {
      silent.close()
    }
  })

  it('refuses addresses that the egress guard does not allow', async () => {
    const { failure } = await deployOver('Guarded', { settings: { repositoryUrl: 'http://10.1.2.3/shop.git' } })
    expect(failure).toMatchObject({ code: 'SOURCE_REJECTED' })
    expect(`${failure.message} ${failure.hint}`).toContain('EGRESS_ALLOW')
  })

  it('refuses a symbolic link that leads out of the repository', async () => {
    const { failure } = await deployOver('Linked', { files: { 'public/shadow': { link: '/etc/shadow' } } })
    expect(failure).toMatchObject({ code: 'SOURCE_REJECTED', message: expect.stringContaining('shadow') })
  })
})

describe.concurrent('a build that is not right', () => {
  it('fails with the exit code of its command', async () => {
    const { failed, failure, messages } = await deployOver('Broken build', {
      settings: { buildCommand: 'echo no such module >&2; exit 3' },
    })
    expect(failure).toMatchObject({ phase: 'BUILD', code: 'BUILD_FAILED' })
    expect(failed.steps[1]).toMatchObject({ status: 'FAILED', exitCode: 3, reasonCode: 'BUILD_FAILED' })
    expect(messages).toContain('no such module')
  })

  it('is killed at its deadline', async () => {
    const { failure } = await deployOver('Hanging build', { settings: { buildCommand: 'echo waiting; sleep 600', buildTimeoutMs: 1_500 } })
    expect(failure).toMatchObject({ phase: 'BUILD', code: 'BUILD_TIMEOUT' })
  })

  it('does not fail for 100 MB of output: the log keeps head and tail and shows what is missing', async () => {
    const repository = await world.app('lab')
    const buildCommand =
      'echo the beginning; yes 0123456789012345678901234567890123456789012345678901234567890123456789 | head -c 104857600; echo; echo the end'
    const service = await world.service({ name: 'Flooding build', repositoryUrl: repository.url, buildCommand })
    // 1.3 million lines take long on a busy machine.
    const done = await world.end(await world.deploy(service), 420_000)
    expect(done.status).toBe('LIVE')
    const messages: string[] = []
    const spans: [number, number][] = []
    let missing = 0
    for (let after: string | null = null, complete = false; !complete; ) {
      const logs: Data = (
        await world.server.gql(
          'query ($id: ID!, $after: String) { deployment(id: $id) { logs(after: $after) { cursor complete gap { fromSeq toSeq reason } lines { seq message } } } }',
          { id: done.id, after },
        )
      ).deployment.logs
      if (logs.gap) {
        expect(logs.gap.reason).toBe('BYTE_CAP')
        missing += logs.gap.toSeq - logs.gap.fromSeq + 1
        spans.push([logs.gap.fromSeq, logs.gap.toSeq])
      }
      for (const line of logs.lines) {
        spans.push([line.seq, line.seq])
        if (!line.message.startsWith('0123')) messages.push(line.message)
      }
      ;({ cursor: after, complete } = logs as { cursor: string; complete: boolean })
    }
    spans.sort(([a], [b]) => a - b)
    // Lines and gap together contain every number exactly once.
    const torn = spans.filter(([from], index) => from !== (spans[index - 1]?.[1] ?? 0) + 1)
    expect(torn).toEqual([])
    expect(missing).toBeGreaterThan(1_000_000)
    expect(messages).toEqual(expect.arrayContaining(['the beginning', 'the end', 'The deployment is live.']))
  })

  it('lists what it looked for if it cannot detect how to build or start the app', async () => {
    const { failure } = await deployOver('Unknown', { files: { Procfile: null, 'server.js': null } })
    expect(failure).toMatchObject({ phase: 'BUILD', code: 'BUILD_NOT_DETECTED' })
    expect(failure.hint).toBeTruthy()
  })

  it('fails with the exit code of a release command, and receives no traffic', async () => {
    const { failed, failure } = await deployOver('Broken migration', { settings: { releaseCommand: 'echo migrating; exit 4' } })
    expect(failure).toMatchObject({ phase: 'RELEASE', code: 'RELEASE_COMMAND_FAILED' })
    expect(failed.steps[2]).toMatchObject({ status: 'FAILED', exitCode: 4 })
  })
})

describe.concurrent('an app that is not right', () => {
  it('shows the last output and the exit code of an instance that exits at once', async () => {
    const { failed, failure, messages } = await deployOver('Exits', {
      files: { 'server.js': 'console.error("no configuration found"); process.exitCode = 3' },
    })
    expect(failure).toMatchObject({ phase: 'VERIFY', code: 'START_FAILED', message: expect.stringContaining('exited with code 3') })
    expect(failed.steps[4]).toMatchObject({ status: 'FAILED', exitCode: 3, reasonCode: 'START_FAILED' })
    expect(messages).toContain('no configuration found')
  })

  it('times out if the port never opens, and shows the last output', async () => {
    const { failure, messages } = await deployOver('Mute', {
      files: { 'server.js': 'console.log("still thinking"); setInterval(() => {}, 1000)' },
      settings: { healthTimeoutMs: 6_000 },
    })
    expect(failure).toMatchObject({ phase: 'VERIFY', code: 'HEALTH_TIMEOUT', message: expect.stringContaining('connection refused') })
    expect(messages).toContain('still thinking')
  })

  it('names the port that an app opened instead of PORT', async () => {
    const server = `require('node:http').createServer((_q, a) => a.end('x')).listen(0, '127.0.0.1', function () { console.log('port ' + this.address().port) })`
    const { failure, messages } = await deployOver('Stubborn port', {
      files: { 'server.js': server },
      settings: { healthTimeoutMs: 6_000 },
    })
    expect(failure).toMatchObject({ code: 'HEALTH_TIMEOUT' })
    const opened = messages.find((message) => /^port \d+$/.test(message))!.slice(5)
    expect(failure.hint).toContain(opened)
    expect(failure.hint).toContain('PORT')
  })

  it('times out if the app accepts connections and never answers', async () => {
    const server = `require('node:net').createServer(() => {}).listen(process.env.PORT, process.env.HOST)`
    const { failure } = await deployOver('Hangs', {
      files: { 'server.js': server },
      settings: { healthCheckPath: '/', healthTimeoutMs: 1_500 },
    })
    expect(failure).toMatchObject({ code: 'HEALTH_TIMEOUT' })
  })

  it('detects an app that dies of its first request through the router, before it receives traffic', async () => {
    const server = `require('node:http').createServer((question, answer) => {
      if (question.headers['x-forwarded-for']) process.exit(5)
      answer.end('well')
    }).listen(process.env.PORT, process.env.HOST)`
    const { failed } = await deployOver('Fragile', { files: { 'server.js': server }, settings: { healthCheckPath: '/' } })
    expect(failed.failure).toMatchObject({ phase: 'VERIFY', code: 'START_FAILED', message: expect.stringContaining('exited with code 5') })
    expect(failed.steps[4]).toMatchObject({ phase: 'VERIFY', status: 'FAILED' })
  })

  it('kills an instance that ignores SIGTERM after the grace period, while the next release serves', async () => {
    const repository = await world.app('ignores-term')
    const service = await world.service({ name: 'Stubborn', repositoryUrl: repository.url, shutdownGraceMs: 1_000 })
    await world.live(service)
    await repository.commit({ note: 'two' }, 'second')
    const second = await world.live(service)
    await until('the previous instance is gone', async () => (await world.read(service)).instances.length === 1)
    await until('its last output is in the log', async () => (await world.serviceLog(service)).some(({ message }) => message === 'not yet'))
    expect(await world.server.router(service.slug)).toMatchObject({ status: 200, headers: { 'x-quayside-deployment': second.id } })
  })
})

describe('an invalid request', () => {
  const bad: [string, Data, string][] = [
    ['a URL that begins with -', { repositoryUrl: '--upload-pack=touch /tmp/x' }, 'repositoryUrl'],
    ['a helper transport', { repositoryUrl: 'ext::sh -c touch% /tmp/x' }, 'repositoryUrl'],
    ['another helper transport', { repositoryUrl: 'fd::7' }, 'repositoryUrl'],
    ['a branch that begins with -', { branch: '--output=/tmp/x' }, 'branch'],
    ['an empty name', { name: '' }, 'name'],
    ['a name of 101 characters', { name: 'x'.repeat(101) }, 'name'],
    ['a slug with a capital letter', { slug: 'Shop' }, 'slug'],
    ['a slug of 51 characters', { slug: 'x'.repeat(51) }, 'slug'],
    ['no instance at all', { minInstances: 0 }, 'minInstances'],
    ['21 instances', { maxInstances: 21 }, 'maxInstances'],
    ['a minimum over the maximum', { minInstances: 3, maxInstances: 2 }, 'maxInstances'],
    ['port 0', { port: 0 }, 'port'],
    ['a root directory outside the tree', { rootDirectory: '../..' }, 'rootDirectory'],
    ['a health path without /', { healthCheckPath: 'health' }, 'healthCheckPath'],
    ['a kind that is not served yet', { kind: 'ODOO' }, 'kind'],
  ]
  it.each(bad)('refuses %s as invalid input', async (_what, input, field) => {
    const before = (await world.server.gql('{ projects { nodes { webServices { totalCount } } } }')).projects
    expect(await refusalOf(world.service({ name: 'Refused', ...input }))).toMatchObject({ code: 'invalid_input', field })
    expect((await world.server.gql('{ projects { nodes { webServices { totalCount } } } }')).projects).toEqual(before)
  })

  it('accepts the limits themselves', async () => {
    await world.service({ name: 'x', slug: 'y', minInstances: 20, maxInstances: 20 })
    const service = await world.service({ name: 'x'.repeat(100), slug: 'z'.repeat(50) })
    expect(service.slug).toBe('z'.repeat(50))
    expect(await refusalOf(world.service({ name: 'Again', slug: 'y' }))).toMatchObject({ code: 'slug_taken', field: 'slug' })
  })

  it('refuses to deploy a service without a repository, or of a branch or commit that begins with -', async () => {
    const service = await world.service({ name: 'Empty' })
    expect(await refusalOf(world.deploy(service))).toMatchObject({ code: 'repository_missing' })
    await world.mutate('updateWebService', { id: service.id, repositoryUrl: 'file:///nowhere' }, 'webService { id }')
    expect(await refusalOf(world.deploy(service, { branch: '-b' }))).toMatchObject({ code: 'invalid_input', field: 'branch' })
    expect(await refusalOf(world.deploy(service, { commit: '--all' }))).toMatchObject({ code: 'invalid_input', field: 'commit' })
    expect(await refusalOf(world.deploy({ id: 'svc_01h455vb4pex5vsknk084sn02q' }))).toMatchObject({ code: 'not_found' })
    expect(await refusalOf(world.command('startWebService', service))).toMatchObject({ code: 'no_live_deployment' })
    expect(await refusalOf(world.command('restartWebService', service))).toMatchObject({ code: 'no_live_deployment' })
  })
})
