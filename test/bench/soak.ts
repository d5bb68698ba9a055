/**
 * A server under a mixed load for minutes: reads, changes, deployments with logs, webhooks and sockets that come and go. Goal: once warm, it
 * takes no more memory and no more descriptors, and everything is answered. `npm run bench -- soak [seconds]`, by default 600.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { createRepository } from '../support/git-repository.ts'
import { startReceiver } from '../support/receiver.ts'
import { type Data, startServer, type TestServer } from '../support/server.ts'
import { until } from '../support/wait.ts'
import type { BenchResult } from './run.ts'

const seconds = Number(process.argv[3] ?? 600)
const samplesWanted = 20
/** The first of the samples, during which caches and the heap still grow. */
const warming = 0.4
/** What a later sample may exceed the warm ones by: garbage that is not collected yet, and connections that close. */
const slack = { 'resident MB': 40, descriptors: 15 }

const printer = `
const http = require('node:http')
let n = 0
setInterval(() => console.log('line ' + ++n + ' ' + 'x'.repeat(80)), 5)
http.createServer((_request, response) => response.end('ok')).listen(process.env.PORT, process.env.HOST)
`

export default async function soak(): Promise<BenchResult> {
  // As cli/boot.mjs starts it.
  const server = await startServer({
    NODE_OPTIONS: '--max-old-space-size=1000 --max-semi-space-size=16',
    EGRESS_ALLOW: '127.0.0.0/8',
    // All load comes from one key.
    RATE_LIMITS: 'graphql=1000000000',
  })
  const receiver = await startReceiver()
  const repository = await createRepository({
    'server.js': printer,
    'package.json': '{"name":"printer","scripts":{"build":"seq 2000","start":"node server.js"}}',
  })
  try {
    const work = await prepare(server, repository.url, receiver.url)
    const until = performance.now() + seconds * 1_000
    const failures: string[] = []
    const done: Record<string, number> = {}
    const loops = Object.entries(work).flatMap(([name, { loops, pauseMs, once }]) =>
      Array.from({ length: loops }, async () => {
        done[name] = 0
        while (performance.now() < until) {
          await once().then(
            () => done[name]!++,
            (error: Error) => failures.push(`${name}: ${error.message}`),
          )
          await pause(pauseMs)
        }
      }),
    )
    const rows = await watch(server, until)
    await Promise.all(loops)
    console.log({ ...done, webhooks: receiver.requests.length, failures: failures.length })
    for (const failure of failures.slice(0, 5)) console.error(failure)
    return { scenario: 'Soak', rows, passed: failures.length === 0 && receiver.requests.length > 0 && grownIn(rows).length === 0 }
  } finally {
    await server.close()
    await receiver.close()
    await repository.close()
  }
}

type Work = { loops: number; pauseMs: number; once(): Promise<unknown> }

async function prepare(server: TestServer, repositoryUrl: string, receiverUrl: string): Promise<Record<string, Work>> {
  const { gql } = server
  const { createProject } = await gql('mutation { createProject(input: { name: "Soak" }) { project { id } } }')
  const projectId = createProject.project.id as string
  await gql('mutation ($url: String!) { createWebhookEndpoint(input: { url: $url }) { webhookEndpoint { id } } }', { url: receiverUrl })
  const input = { projectId, name: 'printer', repositoryUrl }
  const make = 'mutation ($input: CreateWebServiceInput!) { createWebService(input: $input) { webService { id } } }'
  const { id } = (await gql(make, { input })).createWebService.webService as Data
  await deployed(server, id)
  let change = 0
  return {
    reads: {
      loops: 4,
      pauseMs: 5,
      once: () =>
        gql(`{ projects(first: 5) { nodes { id name webServices(first: 5) { nodes { id name status
               deployments(first: 10) { nodes { id number status steps { phase status } } } } } } } }`),
    },
    changes: {
      loops: 4,
      pauseMs: 5,
      once: () =>
        gql('mutation ($id: ID!, $text: String!) { updateProject(input: { id: $id, description: $text }) { project { version } } }', {
          id: projectId,
          text: `change ${++change}`,
        }),
    },
    variables: {
      loops: 1,
      pauseMs: 50,
      once: () =>
        gql(
          `mutation ($id: ID!, $value: String!) {
             setEnvVars(input: { webServiceId: $id, variables: [{ key: "CHANGE", value: $value }] }) { envVars { key } } }`,
          { id, value: `value ${++change}` },
        ),
    },
    sockets: { loops: 8, pauseMs: 20, once: () => follow(server, id) },
    deployments: { loops: 1, pauseMs: 2_000, once: () => deployed(server, id) },
  }
}

/** Receives 20 batches of lines over a socket of its own, then leaves. */
async function follow(server: TestServer, id: string): Promise<void> {
  let left = 20
  const logs = 'subscription ($id: ID!) { webServiceLogs(webServiceId: $id) { lines { seq message } } }'
  for await (const _ of server.subscribe(logs, { id })) if (--left === 0) return
}

async function deployed({ gql }: TestServer, id: string): Promise<void> {
  const deploy = 'mutation ($id: ID!) { deployWebService(input: { webServiceId: $id }) { deployment { id } } }'
  const { deployment } = (await gql(deploy, { id })).deployWebService
  const ended = await until(
    'the deployment has ended',
    async () => {
      await pause(100)
      const read = 'query ($id: ID!) { deployment(id: $id) { status } }'
      const { status } = (await gql(read, { id: deployment.id })).deployment
      return ['LIVE', 'FAILED', 'SUPERSEDED', 'CANCELLED'].includes(status) && status
    },
    240_000,
  )
  if (ended !== 'LIVE') throw new Error(`a deployment ended as ${ended}`)
}

/** Samples of the server in equal distances. */
async function watch(server: TestServer, until: number): Promise<BenchResult['rows']> {
  const rows: BenchResult['rows'] = []
  const startedAt = performance.now()
  const everyMs = (until - startedAt) / samplesWanted
  for (let n = 1; n <= samplesWanted; n++) {
    await pause(startedAt + n * everyMs - performance.now())
    rows.push({ second: Math.round((performance.now() - startedAt) / 1_000), ...(await sample(server)) })
  }
  return rows
}

async function sample({ url, process: { pid } }: TestServer) {
  const text = await (await fetch(url.replace('/graphql', '/metrics'))).text()
  const metric = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
  const residentKb = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  return {
    'resident MB': Math.round(residentKb / 1_024),
    'heap MB': Math.round(metric('nodejs_heap_size_used_bytes') / 1_048_576),
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    'loop p99 ms': Math.round(metric('nodejs_eventloop_lag_p99_seconds') * 1_000),
  }
}

/** The figures whose median over the last quarter exceeds the highest of the warm samples before it. */
function grownIn(rows: BenchResult['rows']): string[] {
  const warm = rows.slice(Math.floor(rows.length * warming), Math.floor(rows.length * 0.75))
  const last = rows.slice(Math.floor(rows.length * 0.75))
  const grown = Object.entries(slack).filter(([name, more]) => {
    const values = last.map((row) => Number(row[name])).sort((a, b) => a - b)
    return values[Math.floor(values.length / 2)]! > Math.max(...warm.map((row) => Number(row[name]))) + more
  })
  for (const [name] of grown) console.error(`${name} grew`)
  return grown.map(([name]) => name)
}
