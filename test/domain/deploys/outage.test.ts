/** Logs and deployments during an outage of the database, and a deployment on a full disk. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createWebService } from '../../../src/domain/apps/web-service/index.ts'
import { deployWebService, sourcePort } from '../../../src/domain/deploys/deployment/index.ts'
import { deploymentQueue } from '../../../src/domain/deploys/deployment/jobs.ts'
import type { Source } from '../../../src/domain/deploys/deployment/ports.ts'
import { routerProbePort, runtimePort } from '../../../src/domain/deploys/instance/index.ts'
import type { Runtime } from '../../../src/domain/deploys/instance/ports.ts'
import { completeLog, ensureServiceLog, followLog, openLogWriter, readLog } from '../../../src/domain/deploys/log/index.ts'
import { startJobs } from '../../../src/jobs/index.ts'
import type { Claimed, Queue } from '../../../src/platform/claim.ts'
import { execute } from '../../../src/platform/command.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { createTestApp, type TestApp } from '../../support/app.ts'
import { createTestDatabase, type TestDatabase } from '../../support/database.ts'
import { createDatabaseProxy, type DatabaseProxy } from '../../support/database-proxy.ts'
import { createTenant, request } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'
import { append, createPlace, inTransaction } from './log-support.ts'

let database: TestDatabase
let proxy: DatabaseProxy
let app: TestApp
/** An App whose database is always available. */
let other: TestApp

beforeEach(async () => {
  database = await createTestDatabase()
  proxy = await createDatabaseProxy(database.url)
  app = await createTestApp(proxy.url, { PROBE_INTERVAL_MS: '10', WORKER_LEASE_MS: '60000' })
  other = await createTestApp(database.url)
})
afterEach(async () => {
  await proxy.restore()
  await app.close()
  await other.close()
  await proxy.close()
  await database.drop()
})

const gone = () => until('the outage is known', () => app.db.session.outage())
const messages = async (logId: string) => (await readLog(other.db, logId)).lines.map(({ message }) => message)

describe('a log', () => {
  it('keeps its lines until the database is back', async () => {
    const { id: logId } = await ensureServiceLog(other.db, await createPlace(other))
    const writer = openLogWriter(app, { logId })
    await writer.say('before')
    await writer.flush()
    await proxy.refuse()
    await gone()
    await writer.say('during')
    const flushed = writer.flush()
    await proxy.restore()
    await flushed
    await writer.say('after')
    await writer.close()
    expect(await messages(logId)).toEqual(['before', 'during', 'after'])
  })

  it('contains a line once if it was stored but the response was lost', async () => {
    const { id: logId } = await ensureServiceLog(other.db, await createPlace(other))
    const writer = openLogWriter(app, { logId })
    await writer.say('same')
    await writer.flush()
    proxy.loseAnswers()
    await writer.say('same')
    await until('the line is stored', async () => (await messages(logId)).length === 2)
    proxy.cut()
    await writer.flush()
    await writer.say('after')
    await writer.close()
    expect(await messages(logId)).toEqual(['same', 'same', 'after'])
  })

  it('is followed across an outage, with each line once', async () => {
    const { id: logId } = await ensureServiceLog(other.db, await createPlace(other))
    await append(other, logId, ['one', 'two'])
    const seen: string[] = []
    const followed = (async () => {
      for await (const { lines } of followLog(app, logId, { mode: 'stored', pollMs: 50 }, new AbortController().signal))
        seen.push(...lines.map(({ message }) => message))
    })()
    await until('it follows', () => seen.length === 2)
    await proxy.refuse()
    await gone()
    await append(other, logId, ['three'])
    await proxy.restore()
    await until('it goes on', () => seen.length === 3)
    await append(other, logId, ['four'])
    await inTransaction(other, (work) => completeLog(work, logId))
    await followed
    expect(seen).toEqual(['one', 'two', 'three', 'four'])
  })
})

type Step = 'build' | 'start' | 'probe' | 'switch'

/** Runs a deployment during which the database becomes unavailable in a step, or the build fails. Returns the ended deployment. */
async function deploy({
  during,
  fails,
  away = async () => {},
}: {
  during?: Step
  fails?: Error
  away?: (signal?: AbortSignal) => Promise<unknown>
}) {
  let left = 1
  const at = async (step: Step, signal?: AbortSignal) => {
    if (step !== during || left-- <= 0) return
    await proxy.refuse()
    await gone()
    await away(signal)
    void proxy.restore()
  }
  sourcePort.provide(app, {
    check: () => {},
    pin: async () => ({ hash: 'a'.repeat(40), message: 'first', author: 'Ada', branch: 'main' }),
    tree: () => async () => {},
    sweep: async () => {},
  } as Source)
  runtimePort.provide(app, {
    async build(_request, { output, signal }) {
      await output('stdout', Buffer.from('building\n'))
      await at('build', signal)
      signal.throwIfAborted()
      if (fails) throw fails
      await output('stdout', Buffer.from('built\n'))
      return { digest: `sha256:${'1'.repeat(64)}`, sizeBytes: 1, startCommand: 'start', releaseCommand: null, detected: 'commands' }
    },
    start: () => at('start'),
    observe: async (ids) => ids.map((instanceId) => ({ instanceId, state: 'running', startedAt: new Date() })),
    readOutput: async (_id, position) => ({ chunks: [], position, droppedBytes: 0 }),
  } as Partial<Runtime> as Runtime)
  const tenant = await createTenant(other)
  const input = { name: 'Web', repositoryUrl: 'https://git.example/shop' }
  const { webService } = await execute(request(other, tenant.owner), createWebService, input)
  const { deployment } = await execute(request(other, tenant.owner), deployWebService, {
    webServiceId: encodeId('WebService', webService.id),
  })
  routerProbePort.provide(app, {
    async request({ target }) {
      await at(target ? 'probe' : 'switch')
      const answered = { status: 200, error: null, failure: null, timedOut: false, routerAway: false }
      return { ...answered, release: `sha256:${'1'.repeat(64)}`, deployment: encodeId('Deployment', deployment.id) }
    },
  })
  const jobs = startJobs(app, { queues: [deploymentQueue] as Queue<never>[] as Queue<Claimed>[], chores: [], worker: 'only' })
  try {
    const ended = await until('it ends', async () => {
      const now = await (await other.db.prismaClient()).deployment.findUniqueOrThrow({ where: { id: deployment.id } })
      return now.finishedAt && now
    })
    const log = await (await other.db.prismaClient()).log.findFirstOrThrow({ where: { deploymentId: deployment.id } })
    return { ended, lines: await messages(log.id) }
  } finally {
    await proxy.restore()
    await jobs.stop({ graceMs: 0 })
  }
}

describe('a deployment', () => {
  it.each<Step>(['build', 'start', 'probe', 'switch'])(
    'goes live although the database becomes unavailable in its step %s',
    async (during) => {
      const { ended, lines } = await deploy({ during })
      expect(ended).toMatchObject({ status: 'LIVE', failureCode: null })
      expect(lines.filter((line) => line === 'building')).toHaveLength(1)
      expect(lines.filter((line) => line === 'The deployment is live.')).toHaveLength(1)
    },
  )

  it('is taken over and goes live if the outage outlasts its lease', async () => {
    await app.close()
    app = await createTestApp(proxy.url, { PROBE_INTERVAL_MS: '10', WORKER_LEASE_MS: '3000' })
    const away = (signal?: AbortSignal) => until('the lease is given up', () => signal?.aborted)
    const { ended } = await deploy({ during: 'build', away })
    expect(ended).toMatchObject({ status: 'LIVE', failureCode: null })
    expect(ended.leaseEpoch).toBeGreaterThan(1)
  })

  it('fails with a hint on a full disk', async () => {
    const { ended, lines } = await deploy({ fails: Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' }) })
    expect(ended).toMatchObject({ status: 'FAILED', failureCode: 'NO_CAPACITY', failureMessage: 'A disk of the server is full.' })
    expect(ended.failureHint).toContain('Free space on the disks')
    expect(lines).toContain('BUILD failed (NO_CAPACITY): A disk of the server is full.')
  })
})
