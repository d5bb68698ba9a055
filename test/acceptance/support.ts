/** Helpers of the acceptance tests: sample apps in real repositories, services, deployments and their outcomes. */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, vi } from 'vitest'
import { createRepository, filesOf, type GitRepository, type RepositoryFiles } from '../support/git-repository.ts'
import { type Data, Refused, type Settings, startServer, type TestServer } from '../support/server.ts'
import { until as poll } from '../support/wait.ts'

export type { Data } from '../support/server.ts'

/** Polls a server, at a lower rate than in-process conditions. Throws after `timeoutMs`. */
export const until = <T>(what: string, ask: () => T | Promise<T>, timeoutMs = 200_000) =>
  poll(
    what,
    async () => {
      const answer = await ask()
      if (!answer) await pause(40)
      return answer
    },
    timeoutMs,
  )

const apps = join(import.meta.dirname, '..', 'support', 'apps')

/** The files of a sample app, with some replaced. */
export const appFiles = async (name: string, changed: RepositoryFiles = {}): Promise<RepositoryFiles> => ({
  ...(await filesOf(join(apps, name))),
  ...changed,
})

const deploymentFields = `id number kind status phase isLive branch commitHash commitMessage commitAuthor trigger version liveAt finishedAt
  restores { id } steps { phase status startedAt finishedAt exitCode reasonCode } failure { phase code message hint }`

const serviceFields = `id name slug url status desiredState version branch
  instances { id status restarts lastExitCode startedAt } liveDeployment { id } activeDeployment { id }`

const ended = new Set(['LIVE', 'SUPERSEDED', 'FAILED', 'CANCELLED', 'SKIPPED'])

export type Line = { seq: number; message: string; stream: string; instanceId: string | null }

export type World = {
  readonly server: TestServer
  /** The project of the test file. */
  readonly projectId: string
  /** A repository with the given files, removed at the end of the test. */
  repository(files: RepositoryFiles): Promise<GitRepository>
  /** A repository with a sample app. */
  app(name: string, changed?: RepositoryFiles): Promise<GitRepository>
  /** A shut gate, removed at the end of the test. */
  gate(): Promise<Gate>
  /** A service in the project of the test file, optionally with a repository. */
  service(input: Data): Promise<Data>
  deploy(service: Data, input?: Data): Promise<Data>
  deployment(id: string): Promise<Data>
  read(service: Data): Promise<Data>
  /** Waits until a deployment has ended. */
  end(deployment: Data, timeoutMs?: number): Promise<Data>
  /** Deploys and waits. Throws with the log unless the deployment goes live. */
  live(service: Data, input?: Data): Promise<Data>
  /** Waits until a deployment is in a phase in which a gate holds it. */
  phase(deployment: Data, phase: string): Promise<Data>
  /** Deploys until a deployment is observed in a phase, because a short phase may be over before it is observed. */
  caught(service: Data, phase: string): Promise<Data>
  /** The changed object of a mutation. */
  mutate(name: string, input: Data, selection: string): Promise<Data>
  cancel(deployment: Data): Promise<Data>
  rollback(deployment: Data, input?: Data): Promise<Data>
  command(name: 'startWebService' | 'stopWebService' | 'restartWebService', service: Data): Promise<Data>
  remove(service: Data): Promise<Data>
  log(deployment: Data): Promise<Line[]>
  serviceLog(service: Data): Promise<Line[]>
}

/** One server for all tests of a file. */
export function acceptance(settings: Settings = {}): World {
  // A deployment waits for a build, a start and probes, and on a busy machine also for other tests.
  vi.setConfig({ testTimeout: 480_000, hookTimeout: 480_000 })
  let server: TestServer
  let projectId: string
  const repositories: GitRepository[] = []
  const gates: Gate[] = []

  beforeAll(async () => {
    server = await startServer(settings)
    const made = await server.gql('mutation { createProject(input: { name: "Acceptance" }) { project { id } } }')
    projectId = made.createProject.project.id
  })
  afterAll(async () => {
    for (const gate of gates) gate.close()
    try {
      await server?.close()
    } finally {
      for (const repository of repositories) await repository.close()
    }
  })

  const repository = async (files: RepositoryFiles) => {
    const made = await createRepository(files)
    repositories.push(made)
    return made
  }

  const mutate: World['mutate'] = async (name, input, selection) => {
    const type = `${name[0]!.toUpperCase()}${name.slice(1)}Input`
    const data = await server.gql(`mutation Change($input: ${type}!) { ${name}(input: $input) { ${selection} } }`, { input })
    return data[name]
  }

  const deployment: World['deployment'] = async (id) =>
    (await server.gql(`query ($id: ID!) { deployment(id: $id) { ${deploymentFields} } }`, { id })).deployment

  const end: World['end'] = ({ id }, timeoutMs = 200_000) =>
    until(
      `deployment ${id} ends`,
      async () => {
        const now = await deployment(id)
        return ended.has(now.status) && now
      },
      timeoutMs,
    )

  const readLog = async (query: string, id: string, pick: (data: Data) => Data): Promise<Line[]> => {
    const lines: Line[] = []
    for (let after: string | null = null; ; ) {
      const batch: Data = pick(await server.gql(query, { id, after }))
      lines.push(...batch.lines)
      if (batch.cursor === after || batch.lines.length === 0) return lines
      after = batch.cursor
    }
  }

  const deploy: World['deploy'] = async ({ id }, input = {}) =>
    (await mutate('deployWebService', { webServiceId: id, ...input }, `deployment { ${deploymentFields} }`)).deployment

  const batch = 'cursor complete lines { seq message stream instanceId }'
  const log: World['log'] = ({ id }) =>
    readLog(
      `query ($id: ID!, $after: String) { deployment(id: $id) { logs(after: $after) { ${batch} } } }`,
      id,
      (data) => data.deployment.logs,
    )

  return {
    get server() {
      return server
    },
    get projectId() {
      return projectId
    },
    repository,
    async gate() {
      const gate = await createGate()
      gates.push(gate)
      return gate
    },
    app: async (name, changed) => repository(await appFiles(name, changed)),
    mutate,
    service: async (input) => (await mutate('createWebService', { projectId, ...input }, `webService { ${serviceFields} }`)).webService,
    deploy,
    deployment,
    read: async ({ id }) => (await server.gql(`query ($id: ID!) { webService(id: $id) { ${serviceFields} } }`, { id })).webService,
    end,
    async live(service, input) {
      const done = await end(await deploy(service, input))
      if (done.status === 'LIVE') return done
      const lines = (await log(done)).map((line) => line.message)
      throw new Error(`Not live but ${done.status}: ${JSON.stringify(done.failure)}\n${lines.slice(-40).join('\n')}`)
    },
    phase: ({ id }, phase) =>
      until(`deployment ${id} is in ${phase}`, async () => {
        const now = await deployment(id)
        if (ended.has(now.status)) throw new Error(`It is ${now.status} already: ${JSON.stringify(now.failure)}`)
        return now.phase === phase && now
      }),
    async caught(service, phase) {
      for (;;) {
        const made = await deploy(service)
        const met = await until(`deployment ${made.id} is in ${phase}, or over`, async () => {
          const now = await deployment(made.id)
          return (now.phase === phase || ended.has(now.status)) && now
        })
        if (!ended.has(met.status)) return made
        if (met.status === 'FAILED') throw new Error(`It failed before ${phase}: ${JSON.stringify(met.failure)}`)
      }
    },
    cancel: async ({ id }) => (await mutate('cancelDeployment', { id }, `deployment { ${deploymentFields} }`)).deployment,
    rollback: async ({ id }, input = {}) =>
      (await mutate('rollbackDeployment', { deploymentId: id, ...input }, `deployment { ${deploymentFields} }`)).deployment,
    command: async (name, { id }) => (await mutate(name, { id }, `webService { ${serviceFields} }`)).webService,
    remove: ({ id }) => mutate('deleteWebService', { id }, 'deletedId webService { id desiredState }'),
    log,
    serviceLog: ({ id }) =>
      readLog(
        `query ($id: ID!, $after: String) { webService(id: $id) { logs(after: $after) { ${batch} } } }`,
        id,
        (data) => data.webService.logs,
      ),
  }
}

/** The error that a promise rejects with. Throws if it resolves. */
export async function refusalOf(outcome: Promise<unknown>): Promise<Refused> {
  const error = await outcome.then(
    () => new Error('It was done, not refused.'),
    (reason: unknown) => reason,
  )
  if (error instanceof Refused) return error
  throw error
}

export type Gate = {
  /** A shell command that ends when the gate is open. */
  wait: string
  /** JavaScript of an app: calls `then` with whether this is the first call. */
  first(then: string): string
  /** JavaScript of an app: calls `then` with whether the gate is open. */
  ask(then: string): string
  /** Number of callers that have waited so far, and of callers that found the gate shut. */
  arrivals(): number
  refusals(): number
  open(): void
  shut(): void
  close(): void
}

/** Holds builds and apps until a test lets them continue. Works because they share the host's network. Shut at first. */
async function createGate(): Promise<Gate> {
  let [isOpen, arrivals, refusals, firsts] = [false, 0, 0, 0]
  const held = new Set<ServerResponse>()
  const server = createServer((request, response) => {
    if (request.url === '/first') return response.writeHead(firsts++ === 0 ? 200 : 503).end()
    if (request.url === '/ask') {
      if (!isOpen) refusals++
      return response.writeHead(isOpen ? 200 : 503).end()
    }
    arrivals++
    if (isOpen) response.end()
    else held.add(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const told = (path: string, then: string) =>
    `require('http').get('${url}${path}', { agent: false }, (told) => (${then})(told.statusCode === 200))`
  return {
    wait: `node -e 'require("http").get("${url}/wait", { agent: false }, () => process.exit())'`,
    first: (then) => told('/first', then),
    ask: (then) => told('/ask', then),
    arrivals: () => arrivals,
    refusals: () => refusals,
    open() {
      isOpen = true
      for (const response of held) response.end()
      held.clear()
    },
    shut() {
      isOpen = false
    },
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

export type Traffic = { answered: number; failures: string[]; releases: Set<string> }

/** Sends requests in sequence on some connections until it is stopped. A status other than 200 is a failure. */
export function sendTraffic(server: TestServer, slug: string, { clients = 4, path = '/?wait=20' } = {}) {
  const traffic: Traffic = { answered: 0, failures: [], releases: new Set() }
  let stopped = false
  const running = Array.from({ length: clients }, async () => {
    while (!stopped) {
      try {
        const answer = await server.router(slug, path)
        if (answer.status === 200) {
          traffic.answered++
          traffic.releases.add(String(answer.headers['x-quayside-release']))
        } else traffic.failures.push(`${answer.status} ${answer.headers['x-quayside-error']} ${answer.body}`)
      } catch (error) {
        traffic.failures.push(String(error))
      }
    }
  })
  return {
    traffic,
    async stop() {
      stopped = true
      await Promise.all(running)
      return traffic
    },
  }
}
