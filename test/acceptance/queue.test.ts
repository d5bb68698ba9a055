/** Several deployments of one service, and cancellation of a deployment before it is live. */
import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { describe, expect, it } from 'vitest'
import { serveGit } from '../support/git-http-server.ts'
import { acceptance, type Data, refusalOf, until } from './support.ts'

const world = acceptance()

/** A service with a live release, whose builds wait at a gate. */
async function slowService(name: string, settings: Data = {}) {
  const repository = await world.app('lab')
  const service = await world.service({ name, repositoryUrl: repository.url, ...settings })
  const first = await world.live(service)
  const gate = await world.gate()
  await world.mutate('updateWebService', { id: service.id, buildCommand: `echo begun; ${gate.wait}` }, 'webService { id }')
  return { service, repository, first, gate }
}

const serves = async (service: Data, deployment: Data) =>
  expect(await world.server.router(service.slug)).toMatchObject({ status: 200, headers: { 'x-quayside-deployment': deployment.id } })

describe.concurrent('the queue of a service', () => {
  it('keeps only the newest waiting deployment by default', async () => {
    const { service, gate } = await slowService('Latest')
    const one = await world.deploy(service)
    await until('it builds', () => gate.arrivals() === 1)
    const two = await world.deploy(service)
    const three = await world.deploy(service)
    expect(await world.deployment(two.id)).toMatchObject({ status: 'SKIPPED', failure: null })
    expect(await world.deployment(three.id)).toMatchObject({ status: 'QUEUED', phase: null })
    gate.open()
    expect(await world.end(one)).toMatchObject({ status: expect.toBeOneOf(['LIVE', 'SUPERSEDED']) })
    expect(await world.end(three)).toMatchObject({ status: 'LIVE', number: 4 })
    expect(await world.deployment(one.id)).toMatchObject({ status: 'SUPERSEDED' })
    await serves(service, three)
  })

  it('runs all deployments in order with QUEUE_ALL', async () => {
    const { service, gate } = await slowService('All', { queuePolicy: 'QUEUE_ALL' })
    const asked = [await world.deploy(service), await world.deploy(service), await world.deploy(service)]
    gate.open()
    const done = await Promise.all(asked.map((deployment) => world.end(deployment)))
    const [one, two, three] = await Promise.all(done.map(({ id }) => world.deployment(id)))
    expect([one!.status, two!.status, three!.status]).toEqual(['SUPERSEDED', 'SUPERSEDED', 'LIVE'])
    expect(one!.liveAt < two!.liveAt && two!.liveAt < three!.liveAt).toBe(true)
  })

  it('runs a rollback before waiting and running deployments, and no deployment displaces it', async () => {
    const { service, repository, first, gate } = await slowService('Rolled back', { queuePolicy: 'QUEUE_ALL' })
    await repository.commit({ 'version.txt': 'v2' }, 'second')
    gate.open()
    await world.live(service)
    gate.shut()
    const running = await world.deploy(service)
    await until('it builds', () => gate.arrivals() === 2)
    const waiting = await world.deploy(service)
    const back = await world.rollback(first)
    expect(await world.end(running)).toMatchObject({ status: 'CANCELLED' })
    expect(await world.end(waiting)).toMatchObject({ status: 'SKIPPED' })
    expect(await world.end(back)).toMatchObject({ status: 'LIVE' })
    await serves(service, back)
  })

  it('leaves a service stopped that was stopped meanwhile, unless it is started again', async () => {
    const { service, gate } = await slowService('Stopped meanwhile')
    const one = await world.deploy(service)
    await until('it builds', () => gate.arrivals() === 1)
    await world.command('stopWebService', service)
    gate.open()
    expect(await world.end(one)).toMatchObject({ status: 'LIVE' })
    expect(await world.read(service)).toMatchObject({ desiredState: 'STOPPED' })
    await until('nothing runs', async () => (await world.read(service)).instances.length === 0)
    expect((await world.server.router(service.slug)).headers['x-quayside-error']).toBe('service_stopped')

    gate.shut()
    const fresh = await world.service({ name: 'Never started', repositoryUrl: (await world.app('lab')).url, buildCommand: gate.wait })
    const first = await world.deploy(fresh)
    await until('it builds', () => gate.arrivals() === 2)
    await world.command('stopWebService', fresh)
    gate.open()
    expect(await world.end(first)).toMatchObject({ status: 'LIVE' })
    expect(await world.read(fresh)).toMatchObject({ desiredState: 'STOPPED' })
    await world.command('startWebService', fresh)
    await until('it answers', async () => (await world.server.router(fresh.slug)).status === 200)
  })

  it('logs the last line of a build before the outcome, even without a line end', async () => {
    const repository = await world.app('lab')
    const service = await world.service({ name: 'Unended', repositoryUrl: repository.url, buildCommand: "printf 'no such module'; exit 3" })
    const messages = (await world.log(await world.end(await world.deploy(service)))).map((line) => line.message)
    const verdict = messages.findIndex((message) => message.startsWith('BUILD failed'))
    expect(messages.indexOf('no such module')).toBeGreaterThan(0)
    expect(messages.indexOf('no such module')).toBeLessThan(verdict)
  })

  it('refuses a second deployment with REJECT, naming the first', async () => {
    const { service, gate } = await slowService('Reject', { queuePolicy: 'REJECT' })
    const one = await world.deploy(service)
    expect(await refusalOf(world.deploy(service))).toMatchObject({ code: 'deployment_in_progress', details: { deploymentId: one.id } })
    const other = await world.deploy(service, { queuePolicy: 'QUEUE_ALL' })
    expect(other.status).toBe('QUEUED')
    gate.open()
    await world.end(one)
    await world.end(other)
    expect(await world.deploy(service)).toMatchObject({ number: 4 })
  })

  it('numbers concurrent deployments differently, and runs one at a time', async () => {
    const { service, gate } = await slowService('Instant', { queuePolicy: 'QUEUE_ALL' })
    gate.open()
    const asked = await Promise.all([1, 2, 3].map(() => world.deploy(service)))
    expect(new Set(asked.map((deployment) => deployment.number))).toEqual(new Set([2, 3, 4]))
    let most = 0
    await until('all are over', async () => {
      const now = await Promise.all(asked.map(({ id }) => world.deployment(id)))
      most = Math.max(most, now.filter((deployment) => deployment.status === 'RUNNING').length)
      return now.every((deployment) => deployment.liveAt !== null)
    })
    expect(most).toBe(1)
  })

  it('runs the newest of concurrent deployments with QUEUE_LATEST, and leaves none waiting', async () => {
    const { service, gate } = await slowService('Burst')
    gate.open()
    const asked = await Promise.all([1, 2, 3, 4].map(() => world.deploy(service)))
    const done = await Promise.all(asked.map((deployment) => world.end(deployment)))
    const newest = done.toSorted((a, b) => b.number - a.number)[0]!
    expect(newest.status).toBe('LIVE')
    for (const other of done)
      expect(await world.deployment(other.id)).toMatchObject({ status: expect.toBeOneOf(['LIVE', 'SUPERSEDED', 'SKIPPED']) })
    await serves(service, newest)
  })
})

describe.concurrent('a cancelled deployment', () => {
  it('ends at once while it waits', async () => {
    const { service, gate } = await slowService('Waiting')
    const one = await world.deploy(service)
    await until('it builds', () => gate.arrivals() === 1)
    const two = await world.deploy(service)
    expect(await world.cancel(two)).toMatchObject({ status: 'CANCELLED', failure: null })
    expect(await refusalOf(world.cancel(two))).toMatchObject({ code: 'deployment_not_cancellable', details: { status: 'CANCELLED' } })
    const steps: Data[] = (await world.deployment(two.id)).steps
    expect(steps.every((step) => step.status === 'SKIPPED')).toBe(true)
    gate.open()
    expect(await world.end(one)).toMatchObject({ status: 'LIVE' })
  })

  it('is stopped in PREPARE while the remote does not answer', async ({ onTestFinished }) => {
    const { service, repository, first } = await slowService('Prepared')
    const remote = await serveGit({ root: dirname(repository.path), intercept: () => true })
    onTestFinished(() => remote.close())
    const repositoryUrl = `${remote.url}/${basename(repository.path)}/.git`
    await world.mutate('updateWebService', { id: service.id, repositoryUrl }, 'webService { id }')
    const one = await world.deploy(service)
    await world.phase(one, 'PREPARE')
    expect(await world.cancel(one)).toMatchObject({ status: 'CANCELLING' })
    expect(await world.end(one)).toMatchObject({ status: 'CANCELLED', phase: 'PREPARE' })
    await serves(service, first)
  })

  it('is stopped in BUILD with all its processes; a second cancellation returns the same row', async () => {
    const { service, first } = await slowService('Built')
    const marker = `sleep 600.${Date.now() % 100_000}`
    await world.mutate('updateWebService', { id: service.id, buildCommand: `echo begun; (${marker} &) ; ${marker}` }, 'webService { id }')
    const one = await world.deploy(service)
    await until('the build has begun', async () => (await world.log(one)).some((line) => line.message === 'begun'))
    const next = await world.deploy(service)
    const [cancelled, again] = [await world.cancel(one), await world.cancel(one)]
    expect(cancelled.status).toBe('CANCELLING')
    expect(again.id).toBe(cancelled.id)
    expect(again.status).toBeOneOf(['CANCELLING'])
    const ended = await world.end(one)
    expect(ended).toMatchObject({ status: 'CANCELLED', phase: 'BUILD', failure: null, isLive: false })
    expect(ended.steps[1].status).toBe('CANCELLED')
    expect((await world.log(one)).at(-1)!.message).toBe('The deployment was cancelled.')
    await serves(service, first)
    await world.phase(next, 'BUILD')
    await world.cancel(next)
    expect(await world.end(next)).toMatchObject({ status: 'CANCELLED' })
    expect(await runningCommands()).not.toContain(marker)
    expect(await refusalOf(world.cancel(first))).toMatchObject({ code: 'deployment_not_cancellable', details: { status: 'LIVE' } })
  })

  it('is stopped in VERIFY with its instances', async () => {
    const { service, repository, first } = await slowService('Verified')
    await repository.commit({ unhealthy: '' }, 'unhealthy')
    await world.mutate('updateWebService', { id: service.id, buildCommand: null, healthCheckPath: '/health' }, 'webService { id }')
    const one = await world.deploy(service)
    await world.phase(one, 'VERIFY')
    await until('its instance is shown', async () => (await world.read(service)).instances.length === 2)
    await world.cancel(one)
    expect(await world.end(one)).toMatchObject({ status: 'CANCELLED', phase: 'VERIFY' })
    await until('its instance is gone', async () => (await world.read(service)).instances.length === 1)
    await serves(service, first)
    expect((await world.read(service)).status).toBe('RUNNING')
  })
})

async function runningCommands(): Promise<string> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const commands = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
  return commands
    .map((command) => command.replaceAll('\0', ' '))
    .filter((command) => command.startsWith('sleep'))
    .join('\n')
}
