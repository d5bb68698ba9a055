/**
 * Database outages, seen from outside: a server and a worker use a PostgreSQL behind a proxy, which fails in every way, while HTTP and routed
 * requests, a webhook receiver and an open subscription show the effects. `npm run bench -- outage 1 10 60 600` sets the durations for which
 * it refuses connections, in seconds.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { createClient } from 'graphql-ws/client'
import pg from 'pg'
import { WebSocket } from 'ws'
import { startEmbeddedPostgres } from '../../src/drivers/postgres/index.ts'
import { createDatabaseProxy, type DatabaseProxy } from '../support/database-proxy.ts'
import { createRepository, type RepositoryFiles } from '../support/git-repository.ts'
import { startReceiver } from '../support/receiver.ts'
import type { Data } from '../support/server.ts'
import { until } from '../support/wait.ts'
import type { BenchResult } from './run.ts'

const root = join(import.meta.dirname, '..', '..')
const given = process.argv.slice(3).map(Number)
const refusedSeconds = given.length > 0 ? given : [1, 10]
const recoverWithinMs = 5_000
const deadlineMs = 10_000

type Outage = {
  name: string
  seconds: number
  begin(): Promise<unknown> | unknown
  end(): Promise<unknown> | unknown
  /** Otherwise only single connections are lost, which need not be noticeable. */
  isWhole: boolean
}

export default async function outage(): Promise<BenchResult> {
  const folder = await mkdtemp(join(tmpdir(), 'quayside-bench-'))
  const postgres = await startEmbeddedPostgres({ dataDir: join(folder, 'database') })
  const proxy = await createDatabaseProxy(postgres.url)
  const admin = new pg.Pool({ connectionString: postgres.url, max: 30, application_name: 'bench' })
  admin.on('error', () => {})
  const children: ChildProcess[] = []
  const receiver = await startReceiver()
  const repository = await createRepository(await sampleApp())
  try {
    const place = await startProduct(folder, proxy.url, children)
    await place.prepare(receiver.url, repository.url)
    const rows: Record<string, string | number>[] = []
    for (const each of await outages(proxy, admin, postgres.url)) {
      rows.push(
        await measure(each, place, receiver.requests, admin).catch((error: unknown) => {
          console.error(place.output())
          throw error
        }),
      )
    }
    const passed = rows.every((row) => row.passed === 'yes')
    return { scenario: 'Outages of the database', passed, rows }
  } finally {
    await proxy.restore()
    for (const child of children) child.kill('SIGTERM')
    await Promise.all(
      children.map((child) => until('a child ends', () => child.exitCode !== null || child.signalCode !== null, 20_000)),
    ).catch(() => {
      for (const child of children) child.kill('SIGKILL')
    })
    await stopInstances(folder)
    await admin.end()
    await proxy.close()
    await receiver.close()
    await repository.close()
    await postgres.stop()
    await rm(folder, { recursive: true, force: true, maxRetries: 3 })
  }
}

async function outages(proxy: DatabaseProxy, admin: pg.Pool, url: string): Promise<Outage[]> {
  const backends = async (only = '') =>
    (await admin.query<{ pid: number }>(`select pid from pg_stat_activity where application_name like 'quayside%' ${only}`)).rows.map(
      ({ pid }) => pid,
    )
  const { rows } = await admin.query("select current_setting('data_directory') as folder")
  const postmaster = Number((await readFile(join(rows[0].folder, 'postmaster.pid'), 'utf8')).split('\n', 1)[0])
  let stopped: number[] = []
  const crowd: pg.Client[] = []
  return [
    ...refusedSeconds.map((seconds) => ({
      name: 'refuses',
      seconds,
      isWhole: true,
      begin: () => proxy.refuse(),
      end: () => proxy.restore(),
    })),
    { name: 'keeps silent', seconds: 10, isWhole: true, begin: () => proxy.silence(), end: () => proxy.restore() },
    { name: 'half-open connections', seconds: 6, isWhole: false, begin: () => proxy.freeze(), end: () => {} },
    {
      name: 'stopped (SIGSTOP)',
      seconds: 10,
      isWhole: true,
      async begin() {
        stopped = [...(await backends()), postmaster]
        for (const pid of stopped) process.kill(pid, 'SIGSTOP')
      },
      end() {
        for (const pid of stopped) process.kill(pid, 'SIGCONT')
      },
    },
    {
      name: 'a backend killed (SIGKILL)',
      seconds: 1,
      isWhole: false,
      begin: async () => process.kill((await backends("and application_name = 'quayside'"))[0]!, 'SIGKILL'),
      // It recovers first.
      end: () =>
        until('the database takes work', () =>
          admin.query('select 1').then(
            () => true,
            () => false,
          ),
        ),
    },
    {
      name: 'too many clients',
      seconds: 10,
      isWhole: true,
      async begin() {
        const { rows: limits } = await admin.query("select current_setting('max_connections')::int as most")
        for (let n = 0; n < limits[0].most; n++) {
          const client = new pg.Client({ connectionString: url })
          client.on('error', () => {})
          if (
            await client.connect().then(
              () => false,
              () => true,
            )
          )
            break
          crowd.push(client)
        }
        await admin.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'quayside%'")
        // Others continue the work of the killed process at once.
        for (let n = 0; n < 100; n++) {
          const client = new pg.Client({ connectionString: url })
          client.on('error', () => {})
          if (
            await client.connect().then(
              () => false,
              () => true,
            )
          )
            continue
          crowd.push(client)
        }
      },
      end: () => Promise.all(crowd.map((client) => client.end())),
    },
  ]
}

async function sampleApp(): Promise<RepositoryFiles> {
  const folder = join(root, 'test', 'support', 'apps', 'web')
  const names = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))])))
}

type Product = Awaited<ReturnType<typeof startProduct>>

async function startProduct(folder: string, databaseUrl: string, children: ChildProcess[]) {
  const dataDir = join(folder, 'data')
  let output = ''
  const launch = (...args: string[]) => {
    const child = spawn(join(root, 'node_modules', '.bin', 'node'), ['src/main.ts', ...args], {
      cwd: root,
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        DATA_DIR: dataDir,
        DATABASE_URL: databaseUrl,
        PORT: '0',
        ROUTER_PORT: '0',
        S3_PORT: '0',
        LOG_LEVEL: 'warn',
        RATE_LIMITS: 'platform=1000000',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    children.push(child)
    for (const stream of [child.stdout!, child.stderr!]) stream.setEncoding('utf8').on('data', (text: string) => (output += text))
    return child
  }
  const server = launch()
  const routerPort = Number(await until('the server runs', () => /^Router http:\/\/[^\s:]+:(\d+)$/m.exec(output)?.[1]))
  const { apiKey } = JSON.parse(await until('the first key', () => readFile(join(dataDir, 'bootstrap.json'), 'utf8').catch(() => '')))
  const url = /^GraphQL (\S+)\/graphql$/m.exec(output)![1]!
  const worker = launch('worker')
  await until('the worker runs', () => output.includes('Worker is running.'))

  const gql = async (query: string, variables: object = {}): Promise<{ code: string; data: Data }> => {
    try {
      const response = await fetch(`${url}/graphql`, {
        method: 'POST',
        signal: AbortSignal.timeout(deadlineMs * 3),
        headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
        body: JSON.stringify({ query, variables }),
      })
      const answer = (await response.json()) as { data?: Data; errors?: { extensions?: { code?: string } }[] }
      return { code: answer.errors?.[0]?.extensions?.code ?? 'ok', data: answer.data ?? {} }
    } catch (error) {
      return { code: (error as Error).name, data: {} }
    }
  }
  const updates: unknown[] = []
  return {
    url,
    apiKey,
    routerPort,
    pids: [server.pid!, worker.pid!],
    output: () => output,
    gql,
    updates,
    async prepare(hook: string, repositoryUrl: string) {
      await gql(
        'mutation ($url: String!) { createWebhookEndpoint(input: { url: $url, eventTypes: ["project.created"] }) { webhookEndpoint { id } } }',
        { url: hook },
      )
      const project = (await gql('mutation { createProject(input: { name: "Outage" }) { project { id } } }')).data.createProject.project
      const service = (
        await gql('mutation ($input: CreateWebServiceInput!) { createWebService(input: $input) { webService { id } } }', {
          input: { projectId: project.id, name: 'Outage', repositoryUrl, healthCheckPath: '/health' },
        })
      ).data.createWebService.webService
      await gql('mutation ($id: ID!) { deployWebService(input: { webServiceId: $id }) { deployment { id } } }', { id: service.id })
      await until('the service is live', async () => (await routed(routerPort)) === 200, 120_000)
      const client = createClient({
        url: `${url.replace('http', 'ws')}/graphql`,
        webSocketImpl: WebSocket,
        connectionParams: { authorization: `Bearer ${apiKey}` },
        retryAttempts: 0,
      })
      client.subscribe(
        { query: 'subscription { webhookAttempts { id } }' },
        { next: (value) => updates.push(value), error: (error) => updates.push(error), complete: () => {} },
      )
    },
  }
}

async function measure(outage: Outage, place: Product, received: unknown[], admin: pg.Pool): Promise<Record<string, string | number>> {
  await until('all is well', async () => (await status(`${place.url}/readyz`)).code === 200, 30_000)
  const [logged, rssBefore] = [place.output().length, memory(place.pids)]
  const seen = { codes: new Map<string, number>(), slowestMs: 0, unhealthy: 0, readySlowestMs: 0, routerFailures: 0, routed: 0 }
  let rssMost = await rssBefore
  let readyAt = 0
  let unreadyAt = 0
  let stopped = false
  const loop = async (everyMs: number, run: () => Promise<void>) => {
    while (!stopped) {
      await run()
      await pause(everyMs)
    }
  }
  const count = (code: string, ms: number) => {
    seen.codes.set(code, (seen.codes.get(code) ?? 0) + 1)
    seen.slowestMs = Math.max(seen.slowestMs, ms)
  }
  const timed = async (run: () => Promise<string>) => {
    const began = performance.now()
    count(await run(), performance.now() - began)
  }
  const loops = [
    ...Array.from({ length: 8 }, () =>
      loop(50, () => timed(async () => (await place.gql('{ projects(first: 1) { nodes { id } } }')).code)),
    ),
    ...Array.from({ length: 4 }, () =>
      loop(50, () => timed(async () => `REST ${(await status(`${place.url}/api/projects`, { 'x-api-key': place.apiKey })).code}`)),
    ),
    loop(100, async () => {
      if ((await status(`${place.url}/healthz`)).code !== 200) seen.unhealthy++
    }),
    loop(20, async () => {
      const { code, ms } = await status(`${place.url}/readyz`)
      seen.readySlowestMs = Math.max(seen.readySlowestMs, ms)
      if (code === 503) unreadyAt ||= performance.now()
      if (code === 200) readyAt ||= performance.now()
      else readyAt = 0
    }),
    loop(50, async () => {
      if ((await routed(place.routerPort)) === 200) seen.routed++
      else seen.routerFailures++
    }),
    loop(250, async () => {
      rssMost = Math.max(rssMost, await memory(place.pids))
    }),
  ]
  const began = performance.now()
  await outage.begin()
  await pause(outage.seconds * 1_000)
  await outage.end()
  const restored = performance.now()
  const [webhooks, updates] = [received.length, place.updates.length]
  const codeUntil = async (run: () => Promise<boolean>) => {
    await until('it goes on', run, 60_000)
    return Math.round(performance.now() - restored)
  }
  const answeredMs = await codeUntil(
    async () => (await place.gql('mutation { createProject(input: { name: "Again" }) { project { id } } }')).code === 'ok',
  )
  const deliveredMs = await codeUntil(async () => received.length > webhooks)
  const notifiedMs = await codeUntil(async () => place.updates.length > updates)
  await codeUntil(async () => readyAt > 0)
  const readyMs = Math.max(0, Math.round(readyAt - restored))
  await pause(2_000)
  stopped = true
  await Promise.all(loops)
  const { rows } = await admin.query("select count(*)::int as n from pg_stat_activity where application_name = 'quayside wake'")
  const lines = place.output().slice(logged).split('\n').filter(Boolean)
  const bad = [...seen.codes].filter(([code]) => !['ok', 'unavailable', 'REST 200', 'REST 503'].includes(code))
  const passed =
    bad.length === 0 &&
    seen.slowestMs < deadlineMs + 500 &&
    seen.unhealthy === 0 &&
    seen.routerFailures === 0 &&
    Math.max(answeredMs, deliveredMs, notifiedMs, readyMs) < recoverWithinMs &&
    rows[0].n === 2 &&
    (!outage.isWhole || unreadyAt > 0)
  return {
    outage: outage.name,
    seconds: outage.seconds,
    'readyz 503 after ms': unreadyAt ? Math.round(unreadyAt - began) : 'never',
    'slowest readyz ms': Math.round(seen.readySlowestMs),
    answers: [...seen.codes].map(([code, n]) => `${n} ${code}`).join(', '),
    'slowest ms': Math.round(seen.slowestMs),
    'routed, failed': `${seen.routed}, ${seen.routerFailures}`,
    'recovers: request, ready, webhook, subscription ms': [answeredMs, readyMs, deliveredMs, notifiedMs].join(', '),
    'MB before, most, after': [await rssBefore, rssMost, await memory(place.pids)].join(', '),
    'listening sessions': rows[0].n,
    'log lines': lines.length,
    passed: passed ? 'yes' : 'NO',
  }
}

/** Memory of all processes together, in MB. */
async function memory(pids: number[]): Promise<number> {
  let sum = 0
  for (const pid of pids) sum += Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''))?.[1] ?? 0)
  return Math.round(sum / 1024)
}

async function status(url: string, headers: Record<string, string> = {}): Promise<{ code: number | string; ms: number }> {
  const began = performance.now()
  const code = await fetch(url, { headers, signal: AbortSignal.timeout(deadlineMs * 3) }).then(
    async (response) => {
      await response.text()
      return response.status
    },
    (error: Error) => error.name,
  )
  return { code, ms: performance.now() - began }
}

const routed = (port: number): Promise<number> =>
  new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port, path: '/', headers: { host: 'outage.localhost' }, agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode!))
    })
    asked.on('error', () => resolve(0))
    asked.end()
  })

/** The processes of the service survive the server. */
async function stopInstances(folder: string): Promise<void> {
  const stop = spawn(join(root, 'node_modules', '.bin', 'node'), ['src/cli/stop.ts'], {
    cwd: root,
    env: { PATH: process.env.PATH, DATA_DIR: join(folder, 'data'), DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none' },
    stdio: 'ignore',
  })
  await until('the instances are stopped', () => stop.exitCode !== null || stop.signalCode !== null)
}
