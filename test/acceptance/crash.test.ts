/** The server is killed in each phase. Deployments end or are taken over, and serving instances are not affected. */
import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { serveGit } from '../support/git-http-server.ts'
import { acceptance, type Data, until } from './support.ts'

const world = acceptance()

async function service(name: string, settings: Data = {}, files = {}) {
  const repository = await world.app('lab', files)
  return { repository, service: await world.service({ name, repositoryUrl: repository.url, ...settings }) }
}

const bootOf = async (slug: string) => (await world.server.router(slug, '/boot')).body

const serving = (slug: string) =>
  until(`${slug} answers`, async () => {
    const answer = await world.server.router(slug, '/boot').catch(() => null)
    return answer?.status === 200 && answer
  })

describe('kill -9 of the server', () => {
  it('in PREPARE, BUILD, RELEASE and VERIFY: deployments end or are taken over, the queue proceeds, and there is one log', async ({
    onTestFinished,
  }) => {
    const silent = { is: true }
    const prepared = await service('Prepare')
    const remote = await serveGit({ root: dirname(prepared.repository.path), intercept: () => silent.is })
    onTestFinished(() => remote.close())
    const repositoryUrl = `${remote.url}/${basename(prepared.repository.path)}/.git`
    await world.mutate('updateWebService', { id: prepared.service.id, repositoryUrl }, 'webService { id }')
    const gate = await world.gate()
    const built = await service('Build', { buildCommand: gate.wait, queuePolicy: 'QUEUE_ALL' })
    const released = await service('Release', { releaseCommand: gate.wait })
    const late = `require('node:http').createServer((_question, answer) => ${gate.ask('(isOpen) => answer.writeHead(isOpen ? 200 : 503).end()')})
      .listen(process.env.PORT, process.env.HOST)`
    const verified = await service('Verify', { healthCheckPath: '/' }, { 'server.js': late })

    const inVerify = await world.deploy(verified.service)
    await world.phase(inVerify, 'VERIFY')
    const inPrepare = await world.deploy(prepared.service)
    const inRelease = await world.deploy(released.service)
    const inBuild = await world.deploy(built.service)
    const waiting = await world.deploy(built.service)
    await until('build and release command have begun', () => gate.arrivals() === 2)
    await world.phase(inRelease, 'RELEASE')
    await world.phase(inPrepare, 'PREPARE')
    expect(await world.deployment(inVerify.id)).toMatchObject({ status: 'RUNNING', phase: 'VERIFY' })
    const [instance] = (await world.read(verified.service)).instances

    await world.server.kill('SIGKILL')
    silent.is = false
    gate.open()
    await world.server.start()

    expect(await world.end(inPrepare)).toMatchObject({ status: 'LIVE' })
    expect(await world.end(inRelease)).toMatchObject({ status: 'FAILED', failure: { phase: 'RELEASE', code: 'WORKER_LOST' } })
    expect((await world.end(inBuild)).liveAt).not.toBeNull()
    expect(await world.end(inVerify)).toMatchObject({ status: 'LIVE' })
    expect(await world.end(waiting)).toMatchObject({ status: 'LIVE', number: 2 })
    // The instance that was starting is the one that serves.
    expect((await world.read(verified.service)).instances).toMatchObject([{ id: instance.id, startedAt: instance.startedAt, restarts: 0 }])
    for (const deployment of [inPrepare, inBuild, inRelease, inVerify, waiting]) {
      const lines = await world.log(deployment)
      expect(lines.map((line) => line.seq)).toEqual(lines.map((_line, index) => index + 1))
    }
  })

  it('in START and in SWITCH is recovered from, without a surplus instance', async () => {
    const started = await service('Start', { minInstances: 10 })
    const inStart = await world.caught(started.service, 'START')
    await world.server.kill('SIGKILL')
    await world.server.start()
    expect(await world.end(inStart)).toMatchObject({ status: 'LIVE' })
    expect((await world.read(started.service)).instances).toHaveLength(10)

    const { repository, service: switched } = await service('Switch', { healthCheckPath: '/?wait=500' })
    const first = await world.live(switched)
    await repository.commit({ 'version.txt': 'v2' }, 'second')
    const inSwitch = await world.caught(switched, 'SWITCH')
    await world.server.kill('SIGKILL')
    await world.server.start()
    expect(await world.end(inSwitch)).toMatchObject({ status: 'LIVE' })
    expect(await world.deployment(first.id)).toMatchObject({ status: 'SUPERSEDED' })
    expect(await serving('switch')).toMatchObject({ headers: { 'x-quayside-deployment': inSwitch.id } })
    await until('the previous instance is gone', async () => (await world.read(switched)).instances.length === 1)
  })

  it('keeps instances running: the same processes serve afterwards, and their output meanwhile is in the log exactly once', async () => {
    const { service: steady } = await service('Steady', { minInstances: 2 }, { beats: '' })
    await world.live(steady)
    const boots = new Set<string>()
    await until('both instances have answered', async () => boots.add(await bootOf('steady')).size === 2)
    const { instances } = await world.read(steady)

    const beats = async () => (await world.serviceLog(steady)).map((line) => line.message).filter((message) => message.includes(' beat '))
    await until('beats are stored', async () => (await beats()).length > 20)
    await world.server.kill('SIGKILL')
    await expect(world.server.router('steady')).rejects.toThrow('ECONNREFUSED')
    // No server reads their output from here until the next start.
    const spools = join(world.server.dataDir, 'instances')
    const printed = async () => {
      const sizes = (await readdir(spools)).map(async (name) => (await stat(join(spools, name, 'stdout')).catch(() => null))?.size ?? 0)
      return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
    }
    const unheard = await printed()
    await until('they keep printing', async () => (await printed()) > unheard + 1_000)
    await world.server.start()
    await serving('steady')
    expect(boots).toContain(await bootOf('steady'))
    expect((await world.read(steady)).instances).toMatchObject(instances.map(({ id, startedAt }: Data) => ({ id, startedAt, restarts: 0 })))

    const before = (await beats()).length
    await until('more beats are stored', async () => (await beats()).length > before + 40)
    const heard = await beats()
    for (const boot of boots) {
      const own = heard.filter((message) => message.startsWith(boot))
      expect(own).toEqual(own.map((_message, index) => `${boot} beat ${index + 1}`))
    }
  })
})

describe('an instance that exits while no server runs', () => {
  it('is restarted when the server starts', async () => {
    const gate = await world.gate()
    gate.open()
    const server = `require('node:http').createServer((_question, answer) => answer.end('in')).listen(process.env.PORT, process.env.HOST)
      setInterval(() => ${gate.ask('(isOpen) => isOpen || process.exit(9)')}, 50)`
    const { service: lonely } = await service('Lonely', {}, { 'server.js': server })
    await world.live(lonely)
    await world.server.kill('SIGKILL')
    gate.shut()
    await until('it has ended', () => gate.refusals() > 0)
    gate.open()
    await world.server.start()
    const [instance] = (
      await until('it runs again', async () => {
        const now = await world.read(lonely)
        return now.status === 'RUNNING' && now.instances[0].restarts === 1 && now
      })
    ).instances
    expect(instance).toMatchObject({ status: 'RUNNING', lastExitCode: 9 })
    await until('it answers', async () => (await world.server.router(lonely.slug)).status === 200)
  })
})

describe('SIGTERM', () => {
  it('drains: requests in flight are answered, the process exits with 0, instances and a running deployment continue', async () => {
    const { service: drained } = await service('Drained')
    await world.live(drained)
    const boot = await bootOf('drained')
    const gate = await world.gate()
    const { service: other } = await service('Interrupted', { buildCommand: gate.wait })
    const building = await world.deploy(other)
    await until('the build has begun', () => gate.arrivals() === 1)
    const slow = world.server.router('drained', '/boot?wait=1000')
    // In flight before the signal is sent.
    await until('it is in flight', async () => (await world.server.router('drained')).status === 200)
    const { process } = world.server
    await world.server.kill('SIGTERM')
    expect(await slow).toMatchObject({ status: 200, body: boot })
    expect(await process.ended).toBe(0)
    gate.open()
    await world.server.start()
    await serving('drained')
    expect(await bootOf('drained')).toBe(boot)
    expect(await world.end(building)).toMatchObject({ status: 'LIVE' })
  })
})
