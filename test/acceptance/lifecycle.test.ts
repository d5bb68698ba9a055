/** A service after its deployment: started, stopped, restarted, crashed, scaled, deleted. */
import { describe, expect, it } from 'vitest'
import { acceptance, type Data, refusalOf, sendTraffic, until } from './support.ts'

const world = acceptance({ DRAIN_TIMEOUT_MS: '2000' })

async function liveService(name: string, settings: Data = {}) {
  const repository = await world.app('lab')
  const service = await world.service({ name, repositoryUrl: repository.url, ...settings })
  const deployment = await world.live(service)
  await seen(service, 'RUNNING')
  return { service, repository, deployment }
}

const seen = (service: Data, status: string) =>
  until(`${service.name} is ${status}`, async () => {
    const now = await world.read(service)
    return now.status === status && now
  })

const bootOf = async (service: Data) => (await world.server.router(service.slug, '/boot')).body

describe.concurrent('a service', () => {
  it('stops and starts with its release, and returns the same row when repeated', async () => {
    const { service, deployment } = await liveService('Stopped')
    const boot = await bootOf(service)
    const stopped = await world.command('stopWebService', service)
    expect(stopped.desiredState).toBe('STOPPED')
    expect((await world.command('stopWebService', service)).version).toBe(stopped.version)
    expect(await seen(service, 'STOPPED')).toMatchObject({ instances: [], liveDeployment: { id: deployment.id } })
    await until('the router says so', async () => (await world.server.router(service.slug)).status === 503)
    expect((await world.server.router(service.slug)).headers['x-quayside-error']).toBe('service_stopped')

    const started = await world.command('startWebService', service)
    expect((await world.command('startWebService', service)).version).toBe(started.version)
    await seen(service, 'RUNNING')
    const answer = await until('it answers', async () => {
      const answer = await world.server.router(service.slug, '/boot')
      return answer.status === 200 && answer
    })
    expect(answer.body).not.toBe(boot)
    expect(answer.headers['x-quayside-deployment']).toBe(deployment.id)
  })

  it('waits for an endless request no longer than the drain timeout', async () => {
    const { service } = await liveService('Endless', { shutdownGraceMs: 300 })
    const endless = world.server.router(service.slug, '/?wait=3600000').catch((error) => error)
    await until('it is in flight', async () => (await world.server.router(service.slug)).status === 200)
    await world.command('stopWebService', service)
    await seen(service, 'STOPPED')
    expect(await endless).not.toMatchObject({ status: 200 })
  })

  it('is restarted by starting new instances first, so that no request fails', async () => {
    const { service } = await liveService('Restarted', { minInstances: 2 })
    const before = (await world.read(service)).instances.map((instance: Data) => instance.id)
    const sent = sendTraffic(world.server, service.slug)
    await world.command('restartWebService', service)
    await until('other instances serve', async () => {
      const { instances, status } = await world.read(service)
      return status === 'RUNNING' && instances.length === 2 && instances.every((instance: Data) => !before.includes(instance.id))
    })
    expect(await sent.stop()).toMatchObject({ failures: [] })
  })

  it('is started by a restart when it was stopped', async () => {
    const { service } = await liveService('Woken')
    await world.command('stopWebService', service)
    await seen(service, 'STOPPED')
    expect(await world.command('restartWebService', service)).toMatchObject({ desiredState: 'RUNNING' })
    await seen(service, 'RUNNING')
  })

  it('is started by a deployment when it was stopped', async () => {
    const { service } = await liveService('Redeployed')
    await world.command('stopWebService', service)
    await seen(service, 'STOPPED')
    await world.live(service)
    expect(await seen(service, 'RUNNING')).toMatchObject({ desiredState: 'RUNNING' })
    expect(await world.server.router(service.slug)).toMatchObject({ status: 200 })
  })

  it('restarts a crashed instance, shows how it exited, and publishes both', async () => {
    const { service } = await liveService('Crashed')
    const boot = await bootOf(service)
    await world.server.router(service.slug, '/exit?code=7').catch(() => {})
    const [instance] = (
      await until('it was started again', async () => {
        const now = await world.read(service)
        return now.status === 'RUNNING' && now.instances[0]?.restarts > 0 && now
      })
    ).instances
    expect(instance).toMatchObject({ status: 'RUNNING', restarts: 1, lastExitCode: 7 })
    expect(await bootOf(service)).not.toBe(boot)
    await until('the log says how it ended', async () =>
      (await world.serviceLog(service)).some(({ stream, message }) => stream === 'SYSTEM' && message.includes('exited with code 7')),
    )
  })

  it('is CRASHED until an instance is healthy again; both are published once', async () => {
    const gate = await world.gate()
    gate.open()
    const gated = gate.ask(`(isOpen) => {
      if (!isOpen) process.exit(9)
      require('node:http').createServer((q, a) => q.url === '/exit' ? process.exit(8) : a.end('in')).listen(process.env.PORT, process.env.HOST)
    }`)
    const events = await tape()
    const repository = await world.app('lab', { 'server.js': gated })
    const service = await world.service({ name: 'Looping', repositoryUrl: repository.url })
    await world.live(service)
    await seen(service, 'RUNNING')
    gate.shut()
    await world.server.router(service.slug, '/exit').catch(() => {})
    await seen(service, 'CRASHED')
    const statuses = new Set<string>()
    await until('some restarts have failed', async () => {
      const now = await world.read(service)
      statuses.add(now.status)
      return now.instances[0]?.restarts >= 3
    })
    expect([...statuses]).toEqual(['CRASHED'])
    gate.open()
    expect((await seen(service, 'RUNNING')).instances[0]).toMatchObject({ lastExitCode: 9 })
    await until('the recovery is published', () => events.types(service).includes('web_service.recovered'))
    expect(events.types(service).filter((type) => type.startsWith('web_service.') && !type.endsWith('created'))).toEqual([
      'web_service.crashed',
      'web_service.recovered',
    ])
  })

  it('replaces an instance that stops answering its health check', async () => {
    const { service } = await liveService('Hung', { healthCheckPath: '/health', shutdownGraceMs: 300 })
    const boot = await bootOf(service)
    await world.server.router(service.slug, '/sicken')
    await until('another process answers', async () => {
      const answer = await world.server.router(service.slug, '/boot')
      return answer.status === 200 && answer.body !== boot
    })
    await until('the log says why', async () =>
      (await world.serviceLog(service)).some((line) => line.message.includes('failed its health check')),
    )
  })

  it('is scaled by load up to its maximum, and scaled down after a quiet time', async () => {
    const { service } = await liveService('Scaled', { minInstances: 1, maxInstances: 3 })
    const sent = sendTraffic(world.server, service.slug, { clients: 70, path: '/?wait=300' })
    await until('three instances serve', async () => {
      const { instances } = await world.read(service)
      expect(instances.length).toBeLessThanOrEqual(3)
      return instances.filter((instance: Data) => instance.status === 'RUNNING').length === 3
    })
    expect(await sent.stop()).toMatchObject({ failures: [] })
    await until('one is left', async () => (await world.read(service)).instances.length === 1)
    expect((await world.read(service)).status).toBe('RUNNING')
  })

  it('applies a changed number of instances without a deployment', async () => {
    const { service } = await liveService('Counted')
    await world.mutate('updateWebService', { id: service.id, minInstances: 3, maxInstances: 3 }, 'webService { id }')
    await until(
      'three run',
      async () => (await world.read(service)).instances.filter((instance: Data) => instance.status === 'RUNNING').length === 3,
    )
    await world.mutate('updateWebService', { id: service.id, minInstances: 1, maxInstances: 1 }, 'webService { id }')
    await until('one runs', async () => (await world.read(service)).instances.length === 1)
  })

  it('is deleted with everything that runs for it, readable until then, and not found afterwards', async () => {
    const { service, deployment } = await liveService('Deleted')
    const removed = await world.remove(service)
    expect(removed).toMatchObject({ deletedId: service.id, webService: { desiredState: 'DELETED' } })
    expect(await refusalOf(world.deploy(service))).toMatchObject({ code: 'not_found' })
    await until('it is gone', async () => (await world.read(service)) === null)
    expect(await world.deployment(deployment.id)).toBeNull()
    expect(await refusalOf(world.remove(service))).toMatchObject({ code: 'not_found' })
    await until(
      'the router does not know it any more',
      async () => (await world.server.router(service.slug)).headers['x-quayside-error'] === 'unknown_host',
    )
  })

  it('is deleted during a build, which is aborted', async () => {
    const { service } = await liveService('Deleted early')
    await world.mutate('updateWebService', { id: service.id, buildCommand: 'echo begun; sleep 600' }, 'webService { id }')
    const building = await world.deploy(service)
    const waiting = await world.deploy(service)
    await until('the build has begun', async () => (await world.log(building)).some((line) => line.message === 'begun'))
    await world.remove(service)
    await until('it is gone', async () => (await world.read(service)) === null)
    expect(await world.deployment(building.id)).toBeNull()
    expect(await world.deployment(waiting.id)).toBeNull()
  })

  it('is not affected by a restart of another service', async () => {
    const { service } = await liveService('Calm', { minInstances: 2 })
    const { service: neighbour } = await liveService('Neighbour')
    const [before, former] = [await world.read(service), (await world.read(neighbour)).instances[0].id]
    const states = new Set<string>()
    await world.command('restartWebService', neighbour)
    await until('the other service has restarted', async () => {
      states.add(JSON.stringify(await world.read(service)))
      const { instances, status } = await world.read(neighbour)
      return status === 'RUNNING' && instances.length === 1 && instances[0].id !== former
    })
    expect([...states]).toEqual([JSON.stringify(before)])
  })
})

/** Every event from now until the server stops. */
async function tape() {
  const events: Data[] = []
  const stream = world.server.subscribe('subscription { events { type subjectId cursor } }')
  void (async () => {
    for await (const { events: event } of stream) events.push(event)
  })().catch(() => {})
  const marker = `Marker ${Math.random()}`
  await until('events arrive', async () => {
    if (events.length > 0) return true
    await world.server.gql('mutation ($name: String!) { createProject(input: { name: $name }) { project { id } } }', { name: marker })
    return false
  })
  return {
    types: ({ id }: Data) => events.filter((event) => event.subjectId === id).map((event) => event.type as string),
  }
}
