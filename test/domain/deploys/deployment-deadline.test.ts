/** Probes end by the deadline of their step. */
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

type HealthCheck = { timeoutMs: number; isPrivate: boolean }

/** Deploys a release whose probes, or whose requests through the router, get no response. Returns the ended deployment and the requests. */
async function deploy(answer: 'silence' | 'good', settings: Record<string, string>) {
  const world = await createWorld({ PROBE_INTERVAL_MS: '10', ...settings })
  onTestFinished(world.close)
  const { app } = world
  const probes: HealthCheck[] = []
  sourcePort.provide(app, {
    check: () => {},
    pin: async () => ({ hash: 'a'.repeat(40), message: 'first', author: 'Ada', branch: 'main' }),
    tree: () => async () => {},
    sweep: async () => {},
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
    probe: async () => ({ ok: true, status: null, reason: null, otherPorts: [], otherHosts: [] }),
    readOutput: async (_id, position) => ({ chunks: [], position, droppedBytes: 0 }),
  } as Partial<Runtime> as Runtime)
  routerProbePort.provide(app, {
    async request({ timeoutMs, target }) {
      probes.push({ timeoutMs, isPrivate: target !== undefined })
      const nothing = { status: null, release: null, deployment: null, error: null, routerAway: false }
      if (target && answer === 'good') return { ...nothing, status: 204, failure: null, timedOut: false }
      await pause(timeoutMs)
      return { ...nothing, failure: 'no answer', timedOut: true }
    },
  })
  const tenant = await createTenant(app)
  const input = { name: 'Web', repositoryUrl: 'https://git.example/shop', healthTimeoutMs: 400 }
  const { webService } = await execute(request(app, tenant.owner), createWebService, input)
  await execute(request(app, tenant.owner), deployWebService, { webServiceId: encodeId('WebService', webService.id) })
  const [claimed] = (await deploymentQueue.claim(app, 'worker', 1, [])).items
  await deploymentQueue.work(app, claimed as Deployment, new AbortController().signal)
  return { ended: await (await app.db.prismaClient()).deployment.findFirstOrThrow(), probes }
}

it('a probe in VERIFY ends by the deadline, and the failure names the deadline', async () => {
  const { ended, probes } = await deploy('silence', {})
  expect(ended).toMatchObject({ status: 'FAILED', failurePhase: 'VERIFY', failureCode: 'HEALTH_TIMEOUT' })
  expect(ended.failureMessage).toContain('within 400 ms (healthTimeoutMs)')
  expect(ended.failureMessage).toContain('no complete response before the deadline')
  expect(ended.failureHint).toContain('healthTimeoutMs')
  expect(probes.length).toBeGreaterThan(0)
  expect(probes.filter(({ isPrivate, timeoutMs }) => !isPrivate || timeoutMs > 400)).toEqual([])
})

it('a request through the router in SWITCH ends by the deadline, and a first deployment that fails there ends at once', async () => {
  const { ended, probes } = await deploy('good', { SWITCH_TIMEOUT_MS: '300' })
  expect(ended).toMatchObject({ status: 'FAILED', failurePhase: 'SWITCH', failureCode: 'SWITCH_FAILED' })
  const visits = probes.filter(({ isPrivate }) => !isPrivate)
  expect(visits.length).toBeGreaterThan(0)
  expect(Math.max(...visits.map(({ timeoutMs }) => timeoutMs))).toBeLessThanOrEqual(300)
})
