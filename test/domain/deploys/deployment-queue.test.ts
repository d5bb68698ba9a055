/** How the queue of deployments is looked at while nothing happens, and when a lost worker is noticed. */
import { expect, it, onTestFinished } from 'vitest'
import { createWebService } from '../../../src/domain/apps/web-service/index.ts'
import { deployWebService } from '../../../src/domain/deploys/deployment/index.ts'
import { deploymentQueue } from '../../../src/domain/deploys/deployment/jobs.ts'
import '../../../src/domain/deploys/instance/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { shiftClock } from '../../support/database.ts'
import { createTenant, createWorld, request, statementsOf } from '../../support/tenant.ts'

it('is one statement while nothing waits, and is due when the lease of a worker is over', async () => {
  const world = await createWorld({ WORKER_LEASE_MS: '15000' })
  onTestFinished(world.close)
  const { app } = world
  const claim = (worker: string) => deploymentQueue.claim(app, worker, 4)
  expect(await statementsOf(app, () => claim('first'))).toHaveLength(1)
  expect(await deploymentQueue.dueInMs?.(app)).toBeNull()

  const tenant = await createTenant(app)
  const input = { name: 'Web', repositoryUrl: 'file:///shop' }
  const { webService } = await execute(request(app, tenant.owner), createWebService, input)
  await execute(request(app, tenant.owner), deployWebService, { webServiceId: encodeId('WebService', webService.id) })
  expect(await claim('first')).toHaveLength(1)
  const dueInMs = await deploymentQueue.dueInMs?.(app)
  expect(dueInMs).toBeGreaterThan(0)
  expect(dueInMs).toBeLessThanOrEqual(15_000)
  expect(await claim('second')).toEqual([])
  await shiftClock(world.url, 16_000)
  expect(await deploymentQueue.dueInMs?.(app)).toBe(0)
  expect(await claim('second')).toMatchObject([{ leaseOwner: 'second', leaseEpoch: 2 }])
})
