/**
 * S6: delivers a backlog of 100,000 webhooks, each signed, sent over loopback and recorded, with a durable PostgreSQL, two workers and the
 * receiver on this machine. Required: 2,500 deliveries per second; goal: 4,000. Also measures the lag at 500 per second, and the statements
 * and CPU time of an idle worker.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import '../../src/domain/apps/project/index.ts'
import { fanOut } from '../../src/domain/webhooks/delivery/fan-out.ts'
import { createWebhookEndpoint, outgoingHttp } from '../../src/domain/webhooks/endpoint/index.ts'
import { createHttpOutgoing } from '../../src/drivers/http/index.ts'
import { startEmbeddedPostgres } from '../../src/drivers/postgres/index.ts'
import { systemCaller } from '../../src/platform/access.ts'
import { execute } from '../../src/platform/command.ts'
import { createDatabase } from '../../src/platform/db/database.ts'
import { row, run, sql } from '../../src/platform/db/index.ts'
import { migrate } from '../../src/platform/db/migrate.ts'
import { createEgressGuard } from '../../src/platform/egress.ts'
import { newId } from '../../src/platform/id.ts'
import { sequence } from '../../src/platform/sequencer.ts'
import type { App } from '../../src/platform/work.ts'
import { createTestApp } from '../support/app.ts'
import type { BenchResult } from './run.ts'

const floor = 2_500
const lagMost = 150
const backlog = Number(process.argv[3] ?? 100_000)
const tenants = 10
const workers = 2
const pace = 500
const paceSeconds = 10
const idleSeconds = 15
const idleMost = 2

const support = join(import.meta.dirname, '..', 'support')

export default async function s6(): Promise<BenchResult> {
  const dataDir = await mkdtemp(join(tmpdir(), 'quayside-bench-'))
  const postgres = await startEmbeddedPostgres({ dataDir })
  const children: ChildProcess[] = []
  const child = (file: string, args: string[] = []) => {
    const made = fork(file, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    children.push(made)
    return made
  }
  try {
    const url = await createDatabase(postgres.url, 'bench', 'template0')
    await migrate({ url, directory: join(import.meta.dirname, '..', '..', 'prisma', 'migrations') })
    const app = await createTestApp(url, { LOG_LEVEL: 'silent' })
    const receiver = child(join(import.meta.dirname, 's6-receiver.ts'))
    const [port] = (await once(receiver, 'message')) as [number]
    const organizations = await createTenants(app, `http://127.0.0.1:${port}/hook`)

    await publishMany(app, organizations, backlog)
    const spreadFrom = performance.now()
    while ((await sequence(app)) > 0) {}
    while ((await fanOut(app)) > 0) {}
    const spread = Math.round(backlog / ((performance.now() - spreadFrom) / 1_000))

    await askReceiver(receiver, 'reset')
    const drainFrom = performance.now()
    const running = await Promise.all(Array.from({ length: workers }, (_, n) => startWorker(child, url, `worker ${n}`)))
    const started = await usageOf(running)
    await until(async () => (await pending(app)) === 0)
    const seconds = (performance.now() - drainFrom) / 1_000
    const { cpuMicros } = await usageOf(running)
    const { received } = await askReceiver(receiver, 'count')
    const recorded = (await row<{ n: number }>(app.db, sql`select count(*)::int as n from webhook_attempt where error_class is null`))!.n

    await askReceiver(receiver, 'reset')
    await publishAtPace(app, organizations)
    await until(async () => (await pending(app)) === 0)
    const { lags } = await askReceiver(receiver, 'lags')
    lags.sort((a, b) => a - b)

    const lag = (share: number) => lags[Math.floor(lags.length * share)] ?? 0

    const idle = await idleUsage(running)
    await app.close()
    const perSecond = Math.round(backlog / seconds)
    return {
      scenario: `S6 webhooks (${cpus().length} cores)`,
      passed: perSecond >= floor && received >= backlog && recorded === backlog && lag(0.99) < lagMost && idle.statements < idleMost,
      rows: [
        { figure: 'deliveries a second, drained', value: perSecond, floor, goal: 4_000 },
        { figure: 'received of the backlog', value: received, floor: backlog, goal: backlog },
        { figure: 'recorded as accepted', value: recorded, floor: backlog, goal: backlog },
        { figure: 'events a second, positioned and fanned out', value: spread, floor: '', goal: '' },
        { figure: 'CPU of the workers a delivery, µs', value: Math.round((cpuMicros - started.cpuMicros) / backlog), floor: '', goal: '' },
        { figure: `lag at ${pace}/s, p50 ms`, value: lag(0.5), floor: '', goal: '' },
        { figure: `lag at ${pace}/s, p99 ms`, value: lag(0.99), floor: lagMost, goal: 100 },
        { figure: 'statements a second of an idle worker', value: idle.statements, floor: idleMost, goal: idleMost },
        { figure: 'CPU of an idle worker, ms a second', value: idle.cpuMs, floor: '', goal: '' },
      ],
    }
  } finally {
    for (const made of children) made.kill('SIGKILL')
    await postgres.stop()
    await rm(dataDir, { recursive: true, force: true, maxRetries: 3 })
  }
}

async function createTenants(app: App, url: string): Promise<string[]> {
  const http = createHttpOutgoing({ guard: createEgressGuard({ allow: app.settings.EGRESS_ALLOW }) })
  outgoingHttp.provide(app, http)
  const ids = Array.from({ length: tenants }, newId)
  for (const id of ids) {
    await run(app.db, sql`insert into organization (id, name, slug) values (${id}::uuid, 'Bench', ${id})`)
    const input = { url, eventTypes: ['project.updated'] }
    await execute({ app, caller: systemCaller(id), requestId: 'bench' }, createWebhookEndpoint, input)
  }
  await http.close()
  return ids
}

const data = JSON.stringify({ projectId: 'proj_01h455vb4pex5vsknk084sn02q', name: 'Shop', slug: 'shop', padding: 'x'.repeat(800) })

/** Inserts rows like those of `publish` in one statement, because publishing is not measured. */
const publishMany = (app: App, organizations: string[], count: number): Promise<number> =>
  run(
    app.db,
    sql`insert into event (id, organization_id, type, schema_version, subject_type, subject_id, sequence, data)
        select uuidv7(), (${organizations}::uuid[])[1 + n % ${tenants}], 'project.updated', 1, 'Project', gen_random_uuid(), 1, ${data}::json
        from generate_series(1, ${count}) n`,
  )

async function publishAtPace(app: App, organizations: string[]): Promise<void> {
  const slices = paceSeconds * 50
  const from = performance.now()
  for (let n = 0; n < slices; n++) {
    await publishMany(app, organizations, pace / 50)
    app.wake.notify('outbox')
    const wait = from + (n + 1) * 20 - performance.now()
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
  }
  await until(async () => {
    const left = await row(
      app.db,
      sql`select 1 as one from event e, webhook_fan_out f where e.position is null or e.position > f.position limit 1`,
    )
    return left === null
  })
}

async function pending(app: App): Promise<number> {
  const counted = await row<{ n: number }>(app.db, sql`select count(*)::int as n from webhook_delivery where status = 'PENDING'`)
  return counted?.n ?? 0
}

async function startWorker(child: (file: string, args: string[]) => ChildProcess, url: string, name: string): Promise<ChildProcess> {
  const worker = child(join(support, 'webhook-worker.ts'), [url, name, '15000'])
  await once(worker, 'message')
  return worker
}

async function askReceiver(receiver: ChildProcess, message: string): Promise<{ received: number; lags: number[] }> {
  const answer = once(receiver, 'message')
  receiver.send(message)
  const [found] = (await answer) as [{ received: number; lags: number[] }]
  return found
}

type Usage = { statements: number; cpuMicros: number }

/** What all workers have used so far. */
async function usageOf(running: ChildProcess[]): Promise<Usage> {
  const total = { statements: 0, cpuMicros: 0 }
  for (const worker of running) {
    const answer = once(worker, 'message')
    worker.send('usage')
    const [{ statements, cpuMicros }] = (await answer) as [Usage]
    total.statements += statements
    total.cpuMicros += cpuMicros
  }
  return total
}

async function idleUsage(running: ChildProcess[]): Promise<{ statements: number; cpuMs: number }> {
  const before = await usageOf(running)
  await new Promise((resolve) => setTimeout(resolve, idleSeconds * 1_000))
  const after = await usageOf(running)
  const perSecond = (amount: number) => Number((amount / idleSeconds / running.length).toFixed(2))
  return { statements: perSecond(after.statements - before.statements), cpuMs: perSecond((after.cpuMicros - before.cpuMicros) / 1_000) }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 100))
}
