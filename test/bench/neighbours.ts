/**
 * How a service that prints a lot, and a key that sends large queries, affect others. Runs a complete server and uses its sockets only. Goals:
 * log lines of a quiet service within 150 ms (p99) beside 20,000 lines per second; the smallest query of another key within 200 ms (p99)
 * beside five loops of the largest allowed operations; each log line exactly once.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { createRepository } from '../support/git-repository.ts'
import { type Data, startServer, type TestServer } from '../support/server.ts'
import { until } from '../support/wait.ts'
import type { BenchResult } from './run.ts'

const seconds = Number(process.argv[3] ?? 10)
const rates = [0, 1_000, 20_000]
const lagAim = 150
const queryAim = 200
/** The event loop may be blocked for 50 ms; the histogram includes its own sampling interval of 10 ms. */
const delayAim = 60

/** Prints lines with timestamps, as many per second as the path says. */
const printer = `
const http = require('node:http')
let rate = 0, owed = 0, n = 0, last = performance.now()
setInterval(() => {
  const now = performance.now()
  owed += (rate * (now - last)) / 1000
  last = now
  let text = ''
  for (; owed >= 1; owed--) text += Date.now() + ' line ' + ++n + ' ' + 'x'.repeat(80) + '\\n'
  if (text) process.stdout.write(text)
}, 5)
http.createServer((request, response) => {
  const given = /rate=(\\d+)/.exec(request.url)
  if (given) { rate = Number(given[1]); owed = 0 }
  response.end(JSON.stringify({ printed: n }))
}).listen(process.env.PORT, process.env.HOST)
`

export default async function neighbours(): Promise<BenchResult> {
  const server = await startServer()
  const repository = await createRepository({
    'server.js': printer,
    'package.json': '{"name":"printer","scripts":{"start":"node server.js"}}',
  })
  try {
    const { createProject } = await server.gql('mutation { createProject(input: { name: "Bench" }) { project { id } } }')
    const projectId = createProject.project.id as string
    const quiet = await deployed(server, projectId, 'quiet', repository.url)
    const loud = await deployed(server, projectId, 'loud', repository.url)
    const rows = [...(await lagsBeside(server, quiet, loud)), ...(await queriesBeside(server, loud))]
    const passed = rows.every((row) => Number(row['p99 ms']) <= Number(row['aim ms']) && row['lost or doubled'] !== 'yes')
    return { scenario: 'Neighbours', rows, passed }
  } finally {
    await server.close()
    await repository.close()
  }
}

async function deployed(server: TestServer, projectId: string, name: string, repositoryUrl: string): Promise<Data> {
  const { createWebService } = await server.gql(
    'mutation ($input: CreateWebServiceInput!) { createWebService(input: $input) { webService { id slug } } }',
    { input: { projectId, name, repositoryUrl } },
  )
  const service = createWebService.webService as Data
  await server.gql('mutation ($id: ID!) { deployWebService(input: { webServiceId: $id }) { deployment { id } } }', { id: service.id })
  await until(
    `${name} is live`,
    async () =>
      (await server.gql('query ($id: ID!) { webService(id: $id) { liveDeployment { id } } }', { id: service.id })).webService
        .liveDeployment,
    240_000,
  )
  return service
}

async function setRate(server: TestServer, { slug }: Data, rate: number): Promise<number> {
  return JSON.parse((await server.router(slug, `/?rate=${rate}`)).body).printed as number
}

/** p99 and maximum of the event loop's delay since the last call, in milliseconds, and the CPU seconds of the process so far. */
async function loopDelay(server: TestServer): Promise<{ p99: number; max: number; cpu: number }> {
  const text = await (await fetch(server.url.replace('/graphql', '/metrics'))).text()
  const of = (name: string) => Math.round(Number(new RegExp(`^nodejs_eventloop_lag_${name}_seconds (\\S+)$`, 'm').exec(text)?.[1]) * 1_000)
  return { p99: of('p99'), max: of('max'), cpu: Number(/^process_cpu_seconds_total (\S+)$/m.exec(text)?.[1]) }
}

const quantile = (sorted: number[], q: number) =>
  Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN)
const figuresOf = (values: number[]) => {
  const sorted = values.toSorted((a, b) => a - b)
  return { 'p50 ms': quantile(sorted, 0.5), 'p99 ms': quantile(sorted, 0.99), 'max ms': quantile(sorted, 1) }
}

async function lagsBeside(server: TestServer, quiet: Data, loud: Data) {
  let lags: number[] = []
  let [last, isBroken] = [0, false]
  const subscription = server.subscribe('subscription ($id: ID!) { webServiceLogs(webServiceId: $id) { lines { seq message } } }', {
    id: quiet.id,
  })
  const following = (async () => {
    for await (const { webServiceLogs } of subscription) {
      for (const { seq, message } of webServiceLogs.lines as Data[]) {
        if (last > 0 && seq !== last + 1) isBroken = true
        last = seq
        const at = Number(/^(\d{13}) line/.exec(message)?.[1])
        if (at) lags.push(Date.now() - at)
      }
    }
  })()
  const rows: Record<string, string | number>[] = []
  await setRate(server, quiet, 20)
  await until('the quiet one is heard', () => lags.length > 40)
  for (const rate of rates) {
    const before = await setRate(server, loud, rate)
    await pause(2_000)
    const { cpu } = await loopDelay(server)
    lags = []
    await pause(seconds * 1_000)
    const figures = figuresOf(lags)
    const delay = await loopDelay(server)
    const printed = (await setRate(server, loud, 0)) - before
    rows.push({
      what: `a line of a quiet service beside ${rate} lines a second`,
      count: lags.length,
      ...figures,
      'aim ms': lagAim,
      'event loop p99 ms': delay.p99,
      'event loop max ms': delay.max,
      'server cores': Number(((delay.cpu - cpu) / seconds).toFixed(2)),
      'lost or doubled': isBroken ? 'yes' : 'no',
      printed,
    })
    await pause(2_000)
  }
  await setRate(server, quiet, 0)
  await subscription.return()
  await following
  return rows
}

const lineFields = 'seq timestamp stream level instanceId message truncated'
const heavy = (id: string): [string, string][] => [
  [
    '30 times the longest log of 100 services (refused)',
    `{ nodes(ids: ${JSON.stringify(Array(100).fill(id))}) { ... on WebService { ${times(30, (n) => `a${n}: logs(tail: 10000) { lines { ${lineFields} } }`)} } } }`,
  ],
  [
    '15 times the longest log',
    `{ ${times(15, (n) => `a${n}: webService(id: "${id}") { logs(tail: 10000) { lines { ${lineFields} } hasMore } }`)} }`,
  ],
  [
    'the log of a service, read by 100 of its ids',
    `{ nodes(ids: ${JSON.stringify(Array(100).fill(id))}) { ... on WebService { logs(tail: 1000) { lines { ${lineFields} } } } } }`,
  ],
  [
    'pages of pages',
    `{ projects(first: 100) { nodes { id webServices(first: 100) { nodes { ${times(20, (n) => `a${n}: name`)} id slug kind status url version createdAt updatedAt } } } } }`,
  ],
]
const times = (n: number, text: (index: number) => string) => Array.from({ length: n }, (_, index) => text(index)).join(' ')

async function queriesBeside(server: TestServer, loud: Data) {
  const key = async (name: string) =>
    (await server.gql(`mutation { createApiKey(input: { name: "${name}", scope: READ }) { plaintextKey } }`)).createApiKey
      .plaintextKey as string
  const [greedy, modest] = [await key('greedy'), await key('modest')]
  const ask = async (apiKey: string, query: string, signal?: AbortSignal) => {
    const response = await fetch(server.url, {
      method: 'POST',
      signal,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
      body: JSON.stringify({ query }),
    })
    return response.text()
  }
  const rows: Record<string, string | number>[] = []
  for (const [title, query] of [['nothing', ''] as [string, string], ...heavy(loud.id)]) {
    const end = new AbortController()
    let [asked, bytes] = [0, 0]
    const loops =
      query === ''
        ? []
        : Array.from({ length: 5 }, async () => {
            while (!end.signal.aborted) {
              const text = await ask(greedy, query, end.signal).catch(() => '')
              asked++
              bytes += text.length
            }
          })
    await pause(1_000)
    const { cpu } = await loopDelay(server)
    const waits: number[] = []
    const until = performance.now() + seconds * 1_000
    while (performance.now() < until) {
      const began = performance.now()
      await ask(modest, '{ organization { id } }')
      waits.push(performance.now() - began)
      await pause(20)
    }
    end.abort()
    await Promise.all(loops)
    const delay = await loopDelay(server)
    rows.push({
      what: `another key's smallest query beside five loops of ${title}`,
      count: waits.length,
      ...figuresOf(waits),
      'aim ms': queryAim,
      'event loop p99 ms': delay.p99,
      'event loop max ms': delay.max,
      'server cores': Number(((delay.cpu - cpu) / seconds).toFixed(2)),
      'stretch aim ms': delayAim,
      asked,
      'MB an answer': asked === 0 ? 0 : Number((bytes / asked / 1e6).toFixed(2)),
    })
  }
  return rows
}
