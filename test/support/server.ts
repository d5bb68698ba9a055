/**
 * The whole product from outside: `src/main.ts` as a child process with its own data directory, used only through its sockets. Imports
 * nothing of the program.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Client, createClient } from 'graphql-ws/client'
import { WebSocket } from 'ws'
import { assertNoLeak, Canary } from './canary.ts'
import { assertPublished } from './published.ts'
import { until } from './wait.ts'

const root = join(import.meta.dirname, '..', '..')
const node = join(root, 'node_modules', '.bin', 'node')

/** Leases, probes and delays that are short enough for tests. */
const quick: Settings = {
  WORKER_LEASE_MS: '4000',
  PROBE_INTERVAL_MS: '50',
  HEALTH_WATCH_MS: '300',
  RESTART_BACKOFF_MS: '200',
  SWITCH_WATCH_MS: '300',
  WORKER_VERIFY_MS: '600',
  USAGE_SAMPLE_MS: '300',
  SCALE_QUIET_MS: '1500',
  SHUTDOWN_GRACE_MS: '6000',
  LOG_LEVEL: 'warn',
}

export type Settings = Record<string, string | undefined>

// biome-ignore lint/suspicious/noExplicitAny: an answer of any shape
export type Data = Record<string, any>

/** The first error of a GraphQL response. */
export class Refused extends Error {
  readonly code: string
  readonly field: string | undefined
  readonly details: Data | undefined
  constructor(error: { message: string; extensions?: Data }) {
    super(`${error.extensions?.code}: ${error.message}`)
    this.code = String(error.extensions?.code)
    this.field = error.extensions?.field as string | undefined
    this.details = error.extensions?.details as Data | undefined
  }
}

export type RouterAnswer = { status: number; headers: IncomingHttpHeaders; body: string }

export type ServerProcess = {
  pid: number
  /** Its output so far. */
  output(): string
  /** Its exit code, or the signal that killed it. */
  ended: Promise<number | NodeJS.Signals>
  kill(signal: NodeJS.Signals): Promise<number | NodeJS.Signals>
}

export type TestServer = {
  dataDir: string
  key: string
  /** URL of /graphql. Changes with a restart. */
  readonly url: string
  readonly routerPort: number
  readonly process: ServerProcess
  /** Returns the data of the response. Throws Refused with its first error. */
  gql(query: string, variables?: Data): Promise<Data>
  /** Results of a subscription over graphql-ws, until it completes. Leaving the loop ends it; a lost connection throws. */
  subscribe(query: string, variables?: Data): AsyncGenerator<Data, void, void>
  /** The same over server-sent events. `id` is the id of the event. */
  events(query: string, variables?: Data, lastEventId?: string): AsyncGenerator<{ id: string | null; data: Data }, void, void>
  /** A request through the router. Rejects unless the whole response is received. */
  router(slug: string, path?: string): Promise<RouterAnswer>
  /** Ends only the server process. Instances and the database keep running. */
  kill(signal: NodeJS.Signals): Promise<void>
  /** `npm stop`: stops the server, the instances and the database. */
  stop(): Promise<void>
  /** Starts the server again on the same data, after `kill` or `stop`. */
  start(settings?: Settings): Promise<void>
  /** Starts another process on the same data. */
  spawn(settings?: Settings, args?: string[]): ServerProcess
  /**
   * Stops the server, the instances and the database, and removes the folder. Throws if a secret of the test is found in any of it,
   * or an event that does not match its schema.
   */
  close(): Promise<void>
}

export async function startServer(settings: Settings = {}): Promise<TestServer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'quayside-acceptance-'))
  const children: ServerProcess[] = []
  const clients = new Set<Client>()
  const canary = new Canary()
  const environment = (own: Settings): Settings => ({
    PATH: process.env.PATH ?? '',
    HOME: process.env.HOME ?? '/',
    ...quick,
    DATA_DIR: dataDir,
    ...{ PORT: '0', ROUTER_PORT: '0', S3_PORT: '0' },
    ...settings,
    ...own,
  })
  const launch = (own: Settings = {}, args: string[] = []) => {
    const started = watch(spawn(node, ['src/main.ts', ...args], { cwd: root, env: environment(own), stdio: ['ignore', 'pipe', 'pipe'] }))
    children.push(started)
    return started
  }
  let serving: ServerProcess
  let [url, key, routerPort] = ['', '', 0]

  const start = async (own: Settings = {}) => {
    serving = launch(own)
    let over: number | NodeJS.Signals | null = null
    void serving.ended.then((how) => {
      over = how
    })
    const port = await until(
      'the server prints the address of its router',
      () => {
        if (over !== null) throw new Error(`The server ended with ${over}:\n${serving.output()}`)
        return /^Router http:\/\/[^\s:]+:(\d+)$/m.exec(serving.output())?.[1]
      },
      120_000,
    )
    routerPort = Number(port)
    const bootstrap = JSON.parse(await readFile(join(dataDir, 'bootstrap.json'), 'utf8'))
    url = /^GraphQL (\S+)$/m.exec(serving.output())![1]!
    key = bootstrap.apiKey
  }

  const stop = async () => {
    const stopping = watch(spawn(node, ['src/cli/stop.ts'], { cwd: root, env: environment({}), stdio: ['ignore', 'pipe', 'pipe'] }))
    const how = await stopping.ended
    if (how !== 0) throw new Error(`stop ended with ${how}:\n${stopping.output()}`)
  }

  const close = async () => {
    for (const client of clients) await client.dispose()
    const database = await databaseOf(dataDir)
    // The latest output of an instance is stored and redacted at the next turn.
    const files = () => canary.searchFiles(dataDir, isSpared)
    await until('no file holds a secret', async () => (await files()).length === 0).catch(() => {})
    const leaks = [...(await files()), ...(await canary.searchDatabase(database))]
    const unpublished = await assertPublished(database).catch((error: unknown) => error)
    const stopped = await stop().catch((error: unknown) => error)
    for (const child of children) {
      await child.kill('SIGKILL')
      leaks.push(...canary.search("the server's output", child.output().replace(/^API key \S+$/m, '')))
    }
    if (stopped) throw stopped
    await rm(dataDir, { recursive: true, force: true, maxRetries: 3 })
    assertNoLeak(leaks)
    if (unpublished) throw unpublished
  }

  try {
    await start()
  } catch (error) {
    await close()
    throw error
  }

  return {
    dataDir,
    get key() {
      return key
    },
    get url() {
      return url
    },
    get routerPort() {
      return routerPort
    },
    get process() {
      return serving
    },
    async gql(query, variables = {}) {
      canary.addVariables(query, variables)
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
        body: JSON.stringify({ query, variables }),
      })
      const answer = (await response.json()) as { data?: Data; errors?: { message: string; extensions?: Data }[] }
      if (answer.errors?.[0]) throw new Refused(answer.errors[0])
      return answer.data!
    },
    async *subscribe(query, variables = {}) {
      const client = createClient({
        url: url.replace('http', 'ws'),
        webSocketImpl: WebSocket,
        connectionParams: { authorization: `Bearer ${key}` },
        retryAttempts: 0,
      })
      clients.add(client)
      try {
        for await (const answer of client.iterate({ query, variables })) {
          if (answer.errors?.[0]) throw new Refused(answer.errors[0])
          yield answer.data as Data
        }
      } finally {
        clients.delete(client)
        await client.dispose()
      }
    },
    async *events(query, variables = {}, lastEventId) {
      const leaving = new AbortController()
      try {
        const response = await fetch(url, {
          method: 'POST',
          signal: leaving.signal,
          headers: {
            'content-type': 'application/json',
            accept: 'text/event-stream',
            'x-api-key': key,
            ...(lastEventId ? { 'last-event-id': lastEventId } : {}),
          },
          body: JSON.stringify({ query, variables }),
        })
        let text = ''
        for await (const bytes of response.body!.pipeThrough(new TextDecoderStream())) {
          text += bytes
          for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
            const fields = Object.fromEntries(
              text
                .slice(0, end)
                .split('\n')
                .map((line) => line.split(/: ?(.*)/s)),
            )
            text = text.slice(end + 2)
            if (fields.event === 'complete') return
            if (fields.event !== 'next') continue
            const answer = JSON.parse(fields.data!)
            if (answer.errors?.[0]) throw new Refused(answer.errors[0])
            yield { id: fields.id ?? null, data: answer.data }
          }
        }
        throw new Error('The event stream ended without complete.')
      } finally {
        leaving.abort()
      }
    },
    router: (slug, path = '/') => ask(routerPort, `${slug}.localhost`, path),
    async kill(signal) {
      await serving.kill(signal)
    },
    stop,
    start,
    spawn: launch,
    close,
  }
}

/** The first API key and the master keys are meant to be in files, and the first start prints the key. The database is searched by rows. */
const isSpared = (path: string) => path.startsWith('postgres/') || path === 'bootstrap.json' || path === 'master.key'

async function databaseOf(dataDir: string): Promise<string> {
  const version = (await readdir(join(dataDir, 'postgres'))).find((name) => /^\d+$/.test(name))
  const [, , , port, socketDir] = (await readFile(join(dataDir, 'postgres', version!, 'postmaster.pid'), 'utf8')).split('\n')
  return `postgresql://quayside@localhost:${port}/quayside?host=${encodeURIComponent(socketDir!)}`
}

/** Uses node:http, because fetch drops the Host header. Opens a connection for each request, as the worst client does. */
function ask(port: number, host: string, path: string): Promise<RouterAnswer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port, path, headers: { host }, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (text: string) => {
        body += text
      })
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body }))
    })
    request.setTimeout(30_000, () => request.destroy(new Error('no response within 30 s')))
    request.on('error', reject)
    request.end()
  })
}

function watch(child: ChildProcess): ServerProcess {
  let output = ''
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8')
    stream.on('data', (text: string) => {
      output += text
    })
  }
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals)
  return {
    pid: child.pid!,
    output: () => output,
    ended,
    async kill(signal) {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      return ended
    },
  }
}
