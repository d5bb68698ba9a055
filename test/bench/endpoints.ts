/**
 * How slow webhook endpoints affect others: the delay of deliveries to a healthy endpoint alone, beside one that takes 8 s to respond, beside
 * four of them, and beside one that never responds; all in one organization, with one worker. Goal: p99 below 300 ms, or, on a busy machine, no
 * worse than alone.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import '../../src/domain/apps/project/index.ts'
import { createWebhookEndpoint, deleteWebhookEndpoint, outgoingHttp } from '../../src/domain/webhooks/endpoint/index.ts'
import { createHttpOutgoing } from '../../src/drivers/http/index.ts'
import { startEmbeddedPostgres } from '../../src/drivers/postgres/index.ts'
import { systemCaller } from '../../src/platform/access.ts'
import { execute } from '../../src/platform/command.ts'
import { createDatabase } from '../../src/platform/db/database.ts'
import { run, sql } from '../../src/platform/db/index.ts'
import { migrate } from '../../src/platform/db/migrate.ts'
import { createEgressGuard } from '../../src/platform/egress.ts'
import { newId } from '../../src/platform/id.ts'
import { createTestApp } from '../support/app.ts'
import type { BenchResult } from './run.ts'

const goalMs = 300
const noWorse = 1.5
const slowAnswerMs = 8_000
const seconds = 20
/** Events per second for each endpoint. */
const pace = 20
/** Backlog of each slow endpoint at the start of the measurement. */
const backlog = 500

const scenarios: { name: string; neighbours: number; answerMs: number | null }[] = [
  { name: 'alone', neighbours: 0, answerMs: slowAnswerMs },
  { name: `beside one that takes ${slowAnswerMs / 1_000} s an answer`, neighbours: 1, answerMs: slowAnswerMs },
  { name: `beside four that take ${slowAnswerMs / 1_000} s an answer`, neighbours: 4, answerMs: slowAnswerMs },
  { name: 'beside one that never answers', neighbours: 1, answerMs: null },
]

export default async function neighbours(): Promise<BenchResult> {
  const dataDir = await mkdtemp(join(tmpdir(), 'quayside-bench-'))
  const postgres = await startEmbeddedPostgres({ dataDir })
  let worker: ChildProcess | undefined
  try {
    const url = await createDatabase(postgres.url, 'bench', 'template0')
    await migrate({ url, directory: join(import.meta.dirname, '..', '..', 'prisma', 'migrations') })
    const app = await createTestApp(url, { LOG_LEVEL: 'silent' })
    const http = createHttpOutgoing({ guard: createEgressGuard({ allow: app.settings.EGRESS_ALLOW }) })
    outgoingHttp.provide(app, http)
    const organizationId = newId()
    await run(app.db, sql`insert into organization (id, name, slug) values (${organizationId}::uuid, 'Bench', 'bench')`)
    const context = { app, caller: systemCaller(organizationId), requestId: 'bench' }
    worker = fork(join(import.meta.dirname, '..', 'support', 'webhook-worker.ts'), [url, 'worker', '15000'], { stdio: 'inherit' })
    await once(worker, 'message')

    const publish = async (type: string, count: number) => {
      await run(
        app.db,
        sql`insert into event (id, organization_id, type, schema_version, subject_type, subject_id, sequence, data)
            select gen_random_uuid(), ${organizationId}::uuid, ${type}, 1, 'Project', gen_random_uuid(), 1, '{}'::json
            from generate_series(1, ${count}::int)`,
      )
      app.wake.notify('outbox')
    }
    const create = async (target: string, type: string) =>
      (await execute(context, createWebhookEndpoint, { url: target, eventTypes: [type] })).webhookEndpoint as { id: string }

    const rows: BenchResult['rows'] = []
    for (const { name, neighbours: count, answerMs } of scenarios) {
      const healthy = await startHealthy()
      const slow = await startSlow(answerMs)
      const made = [await create(healthy.url, 'project.created')]
      for (let n = 0; n < count; n++) made.push(await create(slow.url, 'project.updated'))
      await publish('project.created', 1)
      await publish('project.updated', count > 0 ? backlog : 0)
      await until(() => healthy.lags.length > 0 && (count === 0 || slow.open() > 10))
      healthy.lags.length = 0
      const from = performance.now()
      for (let n = 1; n <= pace * seconds; n++) {
        await publish('project.created', 1)
        if (count > 0) await publish('project.updated', 1)
        const wait = from + (n * 1_000) / pace - performance.now()
        if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
      }
      await until(() => healthy.lags.length >= pace * seconds)
      const lags = healthy.lags.toSorted((a, b) => a - b)
      const [p50, p99] = [0.5, 0.99].map((share) => lags[Math.floor(lags.length * share)] ?? 0)
      const ofAlone = Number((p99! / Number(rows[0]?.['lag p99 ms'] ?? p99)).toFixed(2))
      rows.push({
        scenario: name,
        events: lags.length,
        'lag p50 ms': p50!,
        'lag p99 ms': p99!,
        'most ms': lags.at(-1)!,
        'p99 of alone': ofAlone,
      })
      for (const { id } of made) await execute(context, deleteWebhookEndpoint, { id })
      await healthy.close()
      await slow.close()
    }
    await http.close()
    await app.close()
    return {
      scenario: `neighbours of a webhook endpoint (${cpus().length} cores)`,
      rows,
      passed: rows.every((row) => Number(row['lag p99 ms']) < goalMs || Number(row['p99 of alone']) < noWorse),
    }
  } finally {
    worker?.kill('SIGKILL')
    await postgres.stop()
    await rm(dataDir, { recursive: true, force: true, maxRetries: 3 })
  }
}

type Peer = { url: string; close(): Promise<void> }

/** Responds at once, and records the delay of each request after its event. */
async function startHealthy(): Promise<Peer & { lags: number[] }> {
  const lags: number[] = []
  const peer = await listen((body) => {
    const happened = /"timestamp":"([^"]+)"/.exec(body)?.[1]
    if (happened) lags.push(Date.now() - Date.parse(happened))
    return Promise.resolve()
  })
  return { ...peer, lags }
}

/** Responds to each request after this time; never if null. */
async function startSlow(answerMs: number | null): Promise<Peer & { open(): number }> {
  let open = 0
  const peer = await listen(async () => {
    open++
    await new Promise((resolve) => answerMs !== null && setTimeout(resolve, answerMs).unref())
    open--
  })
  return { ...peer, open: () => open }
}

async function listen(take: (body: string) => Promise<void>): Promise<Peer> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => take(Buffer.concat(chunks).toString()).then(() => response.writeHead(204).end()))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20))
}
