/** How often the deployment queue is polled, and when a lost worker is detected. */
import { expect, it, onTestFinished } from 'vitest'
import { createWebService } from '../../../src/domain/apps/web-service/index.ts'
import { deployWebService } from '../../../src/domain/deploys/deployment/index.ts'
import { deploymentQueue } from '../../../src/domain/deploys/deployment/jobs.ts'
import '../../../src/domain/deploys/instance/index.ts'
import { startJobs } from '../../../src/jobs/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { shiftClock } from '../../support/database.ts'
import { createTenant, createWorld, request, statementsOf } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'

it('polls the queue with one statement while it is empty, and again when the lease of a worker expires', async () => {
  const world = await createWorld({ WORKER_LEASE_MS: '15000' })
  onTestFinished(world.close)
  const { app } = world
  const claim = (worker: string) => deploymentQueue.claim(app, worker, 4, [])
  expect(await statementsOf(app, () => claim('first'))).toHaveLength(1)
  expect(await claim('first')).toMatchObject({ items: [], dueInMs: null })

  const tenant = await createTenant(app)
  const input = { name: 'Web', repositoryUrl: 'file:///shop' }
  const { webService } = await execute(request(app, tenant.owner), createWebService, input)
  await execute(request(app, tenant.owner), deployWebService, { webServiceId: encodeId('WebService', webService.id) })
  expect((await claim('first')).items).toHaveLength(1)
  const { items, dueInMs } = await claim('second')
  expect(items).toEqual([])
  expect(dueInMs).toBeGreaterThan(0)
  expect(dueInMs).toBeLessThanOrEqual(15_000)
  await shiftClock(world.url, 16_000)
  expect((await claim('second')).items).toMatchObject([{ leaseOwner: 'second', leaseEpoch: 2 }])
})

it('fails a deployment with a reason after three consecutive processes crashed while running it; a shutdown does not count', async () => {
  const world = await createWorld({ WORKER_LEASE_MS: '15000' })
  onTestFinished(world.close)
  const { app } = world
  const tenant = await createTenant(app)
  const { webService } = await execute(request(app, tenant.owner), createWebService, {
    name: 'Web',
    repositoryUrl: 'https://git.example/shop',
  })
  await execute(request(app, tenant.owner), deployWebService, { webServiceId: encodeId('WebService', webService.id) })
  let shiftMs = 0
  const claim = async (worker: string) => {
    const [claimed] = (await deploymentQueue.claim(app, worker, 1, [])).items
    shiftMs += 16_000
    await shiftClock(world.url, shiftMs)
    return claimed!
  }
  await claim('dead')
  await claim('dead too')
  const stopping = await claim('stopping')
  await deploymentQueue.work(app, stopping, AbortSignal.abort(new Error('The process is stopping.')))
  for (const worker of ['dead', 'dead too', 'dead as well']) await claim(worker)

  const jobs = startJobs(app, { queues: [deploymentQueue], chores: [], worker: 'heir' })
  onTestFinished(() => jobs.stop({ graceMs: 0 }))
  const ended = await until('it has ended', async () => (await app.db.prismaClient()).deployment.findFirst({ where: { status: 'FAILED' } }))
  expect(ended).toMatchObject({
    leaseEpoch: 7,
    failureCode: 'WORKER_LOST',
    failureMessage: 'The last 3 processes that ran this deployment all exited before it finished.',
  })
})
