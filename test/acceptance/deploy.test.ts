/** Deployment of a commit, the switch between two releases, and rollback. */
import { describe, expect, it } from 'vitest'
import { acceptance, refusalOf, sendTraffic, until } from './support.ts'

const world = acceptance()

const phases = ['PREPARE', 'BUILD', 'RELEASE', 'START', 'VERIFY', 'SWITCH']

describe('a deployment', () => {
  it('brings a commit online and shows each step, the log and the release that answers', async () => {
    const repository = await world.app('web')
    const service = await world.service({
      name: 'Shop',
      repositoryUrl: repository.url,
      healthCheckPath: '/health',
      releaseCommand: 'echo migrated',
    })
    expect(service).toMatchObject({ slug: 'shop', status: 'STOPPED', desiredState: 'STOPPED', instances: [] })
    const unserved = await until('the router knows it', async () => {
      const answer = await world.server.router('shop')
      return answer.headers['x-quayside-error'] !== 'unknown_host' && answer
    })
    expect(unserved).toMatchObject({ status: 503, headers: { 'x-quayside-error': 'service_not_deployed' } })

    const queued = await world.deploy(service)
    expect(queued).toMatchObject({ number: 1, kind: 'DEPLOY', trigger: 'API', branch: 'main', failure: null })
    const live = await world.end(queued)
    const head = (await repository.git(['rev-parse', 'HEAD'])).trim()
    expect(live).toMatchObject({
      status: 'LIVE',
      isLive: true,
      phase: 'SWITCH',
      commitHash: head,
      commitMessage: 'first',
      commitAuthor: 'Ada',
      failure: null,
    })
    expect(live.steps.map((step: { phase: string }) => step.phase)).toEqual(phases)
    for (const step of live.steps) {
      expect(step).toMatchObject({ status: 'SUCCEEDED', startedAt: expect.any(String), finishedAt: expect.any(String), reasonCode: null })
    }
    expect(live.steps[1].exitCode).toBe(0)

    const log = await world.log(live)
    expect(log.map((line) => line.seq)).toEqual(log.map((_line, index) => index + 1))
    const messages = log.map((line) => line.message)
    for (const promised of ['compiling module 20 of 20 for v1', 'build finished', 'migrated', 'The deployment is live.'])
      expect(messages).toContain(promised)
    expect(messages.filter((message) => message.startsWith('compiling')).length).toBe(20)

    const answer = await world.server.router('shop')
    expect(answer).toMatchObject({ status: 200, body: 'v1\n', headers: { 'x-quayside-deployment': live.id } })
    expect(answer.headers['x-quayside-release']).toMatch(/^sha256:[0-9a-f]{64}$/)
    const running = await until('the service is seen to run', async () => {
      const now = await world.read(service)
      return now.status === 'RUNNING' && now
    })
    expect(running).toMatchObject({ desiredState: 'RUNNING', liveDeployment: { id: live.id }, activeDeployment: null })
    expect(running.url).toBe(`http://shop.localhost:${world.server.routerPort}`)
    expect(running.instances).toMatchObject([{ status: 'RUNNING', restarts: 0, lastExitCode: null }])
  })

  it('replaces a release under constant traffic without a failed request, and stops the previous instances', async () => {
    const repository = await world.app('lab')
    const service = await world.service({ name: 'Busy', repositoryUrl: repository.url, minInstances: 2 })
    const first = await world.live(service)
    const sent = sendTraffic(world.server, 'busy')
    await until('traffic flows', () => sent.traffic.answered > 50)
    await repository.commit({ 'version.txt': 'v2' }, 'second')
    const second = await world.live(service)
    const answered = sent.traffic.answered
    await until('traffic goes on', () => sent.traffic.answered > answered + 100)
    expect(await sent.stop()).toMatchObject({ failures: [] })
    expect(sent.traffic.releases.size).toBe(2)
    expect(await world.server.router('busy')).toMatchObject({ body: 'v2', headers: { 'x-quayside-deployment': second.id } })
    expect(await world.deployment(first.id)).toMatchObject({ status: 'SUPERSEDED', isLive: false })
    await until('the previous instances are gone', async () => (await world.read(service)).instances.length === 2)
    await until(
      'the log has the last words of both',
      async () => (await world.serviceLog(service)).filter(({ message }) => message === 'v1 was asked to end').length === 2,
    )
  })

  it('is rolled back to without a build, under traffic, and refused if it is already live', async () => {
    const repository = await world.app('lab')
    const service = await world.service({ name: 'Undone', repositoryUrl: repository.url, maxInstances: 3 })
    const first = await world.live(service)
    const release = (await world.server.router('undone')).headers['x-quayside-release']
    await repository.commit({ 'version.txt': 'v2' }, 'second')
    const second = await world.live(service)
    await repository.commit({ unhealthy: '' }, 'third')
    await world.mutate('updateWebService', { id: service.id, healthCheckPath: '/health', healthTimeoutMs: 6_000 }, 'webService { id }')
    const third = await world.end(await world.deploy(service))
    expect(third).toMatchObject({ status: 'FAILED', phase: 'VERIFY', failure: { phase: 'VERIFY', code: 'HEALTH_TIMEOUT' } })
    // The last probe determines the reason. On a busy machine, the deadline may have cut it off.
    expect(third.failure.message).toMatch(/503|no response within/)
    expect(third.steps.map((step: { status: string }) => step.status)).toEqual([
      'SUCCEEDED',
      'SUCCEEDED',
      'SKIPPED',
      'SUCCEEDED',
      'FAILED',
      'SKIPPED',
    ])
    expect(await world.server.router('undone')).toMatchObject({ body: 'v2', headers: { 'x-quayside-deployment': second.id } })

    const planOf = async (id: string) =>
      (
        await world.server.gql(
          'query ($id: ID!) { rollbackPlan(deploymentId: $id) { eligible config blockers { code message } target { id } current { id } changes { kind key from to } warnings } }',
          { id },
        )
      ).rollbackPlan
    expect(await planOf(third.id)).toMatchObject({ eligible: false, blockers: [{ code: 'NEVER_LIVE' }] })
    expect(await planOf(second.id)).toMatchObject({ eligible: false, blockers: [{ code: 'ALREADY_LIVE' }] })
    expect(await refusalOf(world.rollback(third))).toMatchObject({ code: 'rollback_not_eligible', field: 'deploymentId' })
    expect(await refusalOf(world.rollback(second))).toMatchObject({ code: 'rollback_not_eligible' })
    const plan = await planOf(first.id)
    expect(plan).toMatchObject({ eligible: true, blockers: [], config: 'SNAPSHOT', target: { id: first.id }, current: { id: second.id } })
    expect(plan.changes).toContainEqual({ kind: 'COMMIT', key: 'commit', from: second.commitHash, to: first.commitHash })

    const sent = sendTraffic(world.server, 'undone')
    const back = await world.end(await world.rollback(first))
    expect(await sent.stop()).toMatchObject({ failures: [] })
    expect(back).toMatchObject({ status: 'LIVE', kind: 'ROLLBACK', restores: { id: first.id }, commitHash: first.commitHash, number: 4 })
    expect(back.steps[1]).toMatchObject({ phase: 'BUILD', status: 'SKIPPED' })
    const answer = await world.server.router('undone')
    expect(answer.body).toBe('v1')
    expect(answer.headers['x-quayside-release']).toBe(release)
    expect(await planOf(first.id)).toMatchObject({ eligible: true, blockers: [] })
  })

  it('publishes a static site with its own 404 page, validators and types', async () => {
    const repository = await world.app('static')
    const service = await world.service({ name: 'Pages', kind: 'STATIC_SITE', repositoryUrl: repository.url })
    const live = await world.live(service)
    expect(live.steps.map((step: { status: string }) => step.status)).toEqual([
      'SUCCEEDED',
      'SUCCEEDED',
      'SKIPPED',
      'SKIPPED',
      'SKIPPED',
      'SUCCEEDED',
    ])
    const index = await world.server.router('pages')
    expect(index).toMatchObject({
      status: 200,
      headers: { 'content-type': expect.stringContaining('text/html'), 'x-quayside-deployment': live.id },
    })
    expect(index.headers.etag).toBeTruthy()
    expect(await world.server.router('pages', '/style.css')).toMatchObject({
      status: 200,
      headers: { 'content-type': expect.stringContaining('text/css') },
    })
    expect(await world.server.router('pages', '/none')).toMatchObject({ status: 404, body: expect.stringContaining('Nothing here') })
    expect(await world.server.router('pages', '/../../etc/passwd')).toMatchObject({ status: expect.not.toBeOneOf([200]) })
    await repository.commit({ 'index.html': '<p>two</p>' }, 'second')
    await world.live(service)
    expect(await world.server.router('pages')).toMatchObject({ status: 200, body: '<p>two</p>' })
    await until('it is seen to run', async () => (await world.read(service)).status === 'RUNNING')
    expect((await world.read(service)).instances).toEqual([])
  })

  it('verifies that a worker stays up', async () => {
    const repository = await world.app('worker', { 'package.json': null })
    const service = await world.service({ name: 'Jobs', kind: 'WORKER', repositoryUrl: repository.url, minInstances: 2 })
    expect(service.url).toBeNull()
    await world.live(service)
    const running = await until('it is seen to run', async () => {
      const now = await world.read(service)
      return now.status === 'RUNNING' && now
    })
    expect(running.instances.map((instance: { status: string }) => instance.status)).toEqual(['RUNNING', 'RUNNING'])
    await until('its lines arrive', async () => (await world.serviceLog(service)).some((line) => line.message === 'job 1 done'))
    await repository.commit({ 'worker.js': 'console.log("nothing to do")' }, 'ends')
    const failed = await world.end(await world.deploy(service))
    expect(failed).toMatchObject({ status: 'FAILED', failure: { code: 'START_FAILED', phase: 'VERIFY' } })
    expect((await world.read(service)).status).toBe('RUNNING')
  })

  it('returns the same result for a repeated idempotency key, and refuses the key with another input', async () => {
    const repository = await world.app('lab')
    const service = await world.service({ name: 'Once', repositoryUrl: repository.url, queuePolicy: 'QUEUE_ALL' })
    const [one, two] = await Promise.all([1, 2].map(() => world.deploy(service, { idempotencyKey: 'deploy-once' }).catch((error) => error)))
    const again = await world.deploy(service, { idempotencyKey: 'deploy-once' })
    expect([one, two].map((outcome) => outcome.id ?? outcome.code)).toEqual(expect.arrayContaining([again.id]))
    expect(await refusalOf(world.deploy(service, { idempotencyKey: 'deploy-once', clearCache: true }))).toMatchObject({
      code: 'idempotency_key_reused',
    })
    await world.end(again)
    const listed = await world.server.gql('query ($id: ID!) { deployments(webServiceId: $id) { totalCount } }', { id: service.id })
    expect(listed.deployments.totalCount).toBe(1)
  })
})
