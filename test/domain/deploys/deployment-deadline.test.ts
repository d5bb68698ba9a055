/** That no probe outlives the deadline of the step that makes it. */
import { expect, it, onTestFinished } from 'vitest'
import { createWebService } from '../../../src/domain/apps/web-service/index.ts'
import { deployWebService, sourcePort } from '../../../src/domain/deploys/deployment/index.ts'
import { deploymentQueue } from '../../../src/domain/deploys/deployment/jobs.ts'
import type { Source } from '../../../src/domain/deploys/deployment/ports.ts'
import { routerProbePort, runtimePort } from '../../../src/domain/deploys/instance/index.ts'
import type { Runtime } from '../../../src/domain/deploys/instance/ports.ts'
import type { Deployment } from '../../../src/generated/prisma/client.ts'
import { pause } from '../../../src/platform/clock.ts'
import { execute } from '../../../src/platform/command.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { createTenant, createWorld, request } from '../../support/tenant.ts'

/** An app whose probes get no answer, or good ones, and a router that never answers. Gives how the deployment ended, and each probe's limit. */
async function deploy(answer: 'silence' | 'good', settings: Record<string, string>) {
  const world = await createWorld({ PROBE_INTERVAL_MS: '10', ...settings })
  onTestFinished(world.close)
  const { app } = world
  const timeouts: { instance: number[]; router: number[] } = { instance: [], router: [] }
  sourcePort.provide(app, {
    check: () => {},
    pin: async () => ({ hash: 'a'.repeat(40), message: 'first', branch: 'main' }),
    tree: () => async () => {},
  } as Source)
  runtimePort.provide(app, {
    build: async () => ({
      digest: `sha256:${'1'.repeat(64)}`,
      sizeBytes: 1,
      startCommand: 'start',
      releaseCommand: null,
      detected: 'commands',
    }),
    start: async () => {},
    observe: async (ids) => ids.map((instanceId) => ({ instanceId, state: 'running', startedAt: new Date() })),
    async probe({ timeoutMs }) {
      timeouts.instance.push(timeoutMs)
      if (answer === 'good') return { ok: true, status: 200, reason: null, otherPorts: [] }
      await pause(timeoutMs)
      return { ok: false, status: null, reason: 'no answer', otherPorts: [] }
    },
    readOutput: async (_id, position) => ({ chunks: [], position, droppedBytes: 0 }),
  } as Partial<Runtime> as Runtime)
  routerProbePort.provide(app, {
    async request(_host, _path, timeoutMs) {
      timeouts.router.push(timeoutMs)
      await pause(timeoutMs)
      return { status: null, release: null, deployment: null, error: null }
    },
  })
  const tenant = await createTenant(app)
  const input = { name: 'Web', repositoryUrl: 'https://git.example/shop', healthTimeoutMs: 400 }
  const { webService } = await execute(request(app, tenant.owner), createWebService, input)
  await execute(request(app, tenant.owner), deployWebService, { webServiceId: encodeId('WebService', webService.id) })
  const [claimed] = await deploymentQueue.claim(app, 'worker', 1)
  await deploymentQueue.work(app, claimed as Deployment, new AbortController().signal)
  return { ended: await app.db.prisma.deployment.findFirstOrThrow(), timeouts }
}

it('a probe in VERIFY has no longer than the deadline leaves it', async () => {
  const { ended, timeouts } = await deploy('silence', {})
  expect(ended).toMatchObject({ status: 'FAILED', failurePhase: 'VERIFY', failureCode: 'HEALTH_TIMEOUT' })
  expect(timeouts.instance.length).toBeGreaterThan(0)
  expect(Math.max(...timeouts.instance)).toBeLessThanOrEqual(400)
})

it('a request through the router in SWITCH has no longer than the deadline leaves it, and a first deployment that fails there ends at once', async () => {
  const { ended, timeouts } = await deploy('good', { SWITCH_TIMEOUT_MS: '300' })
  expect(ended).toMatchObject({ status: 'FAILED', failurePhase: 'SWITCH', failureCode: 'SWITCH_FAILED' })
  expect(timeouts.router.length).toBeGreaterThan(0)
  expect(Math.max(...timeouts.router)).toBeLessThanOrEqual(300)
})
