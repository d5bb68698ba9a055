/** The setup of all chapters: a repository, a webhook receiver, a project, an endpoint and a service; and the actions that chapters share. */
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Webhook } from 'svix'
import { createRepository, filesOf, type GitRepository } from '../../../test/support/git-repository.ts'
import { type ReceivedRequest, type Receiver, startReceiver } from '../../../test/support/receiver.ts'
import { type Client, type Line, type LogBatch, logFields, openClient } from './client.ts'
import { ensure, type Part, type Report } from './report.ts'
import type { Server } from './server.ts'

export type Chapter = {
  about: string
  /** Whether it changes the database of the server, and so is not for a server that is given. */
  needsOwnServer?: boolean
  parts(stage: Stage): Part[]
}

export type Stage = {
  server: Server
  client: Client
  report: Report
  /** Cleanup steps, run in reverse order. */
  undo: (() => Promise<unknown>)[]
  repository: GitRepository
  receiver: Receiver
  /** Signing secret of the receiver's endpoint. */
  secret: string
  endpointId: string
  projectId: string
  service: { id: string; url: string }
}

export type Deployment = {
  id: string
  number: number
  status: string
  failure: { phase: string; code: string; message: string; hint: string | null } | null
}

const sampleApp = join(import.meta.dirname, '../../../test/support/apps/web')

/** Prolongs the build by one and a half seconds, so that there is a live log to follow and a connection to cut. */
const slowStep = `const lines = 40
for (let n = 1; n <= lines; n++) setTimeout(() => console.log(\`bundling asset \${n} of \${lines}\`), n * 40)
`

/** Creates the setup. */
export async function openStage(server: Server, undo: Stage['undo'], report: Report): Promise<Stage> {
  const client = openClient(server)
  const repository = await createRepository({ ...(await filesOf(sampleApp)), 'scripts/bundle.js': slowStep })
  undo.push(() => repository.close())
  const receiver = await startReceiver()
  undo.push(() => receiver.close())

  const { createProject } = await client.ask<{ createProject: { project: { id: string; slug: string } } }>(
    'mutation ($input: CreateProjectInput!) { createProject(input: $input) { project { id slug } } }',
    { input: { name: 'Quayside demo', description: 'Created by npm run demo and deleted when it ends.' } },
  )
  const projectId = createProject.project.id
  undo.push(() => deleteProject(client, projectId))

  const { createWebhookEndpoint } = await client.ask<{
    createWebhookEndpoint: { webhookEndpoint: { id: string }; secret: string }
  }>('mutation ($input: CreateWebhookEndpointInput!) { createWebhookEndpoint(input: $input) { webhookEndpoint { id } secret } }', {
    input: { url: `${receiver.url}/hook`, projectId, description: 'npm run demo', retryScheduleMs: [200, 500, 1_000] },
  })
  const endpointId = createWebhookEndpoint.webhookEndpoint.id
  undo.push(() => client.ask('mutation ($id: ID!) { deleteWebhookEndpoint(input: { id: $id }) { deletedId } }', { id: endpointId }))

  const { createWebService } = await client.ask<{ createWebService: { webService: { id: string; url: string } } }>(
    'mutation ($input: CreateWebServiceInput!) { createWebService(input: $input) { webService { id url } } }',
    {
      input: {
        projectId,
        name: 'Demo app',
        repositoryUrl: repository.url,
        buildCommand: 'npm run build && node scripts/bundle.js',
        healthCheckPath: '/health',
      },
    },
  )
  report.say(`Project ${createProject.project.slug}, service ${createWebService.webService.url}, repository ${repository.url}`)
  return {
    server,
    client,
    report,
    undo,
    repository,
    receiver,
    secret: createWebhookEndpoint.secret,
    endpointId,
    projectId,
    service: createWebService.webService,
  }
}

/** Deletes the project with its contents, and waits until instances and rows are gone. */
async function deleteProject(client: Client, id: string): Promise<void> {
  await client.ask('mutation ($id: ID!) { deleteProject(input: { id: $id, cascade: true }) { deletedId } }', { id })
  const present = () => client.ask<{ node: unknown }>('query ($id: ID!) { node(id: $id) { id } }', { id })
  await until('the project is deleted', async () => (await present()).node === null, 30_000)
}

/** Polls until the condition holds. After the timeout, throws an error that names it. */
export async function until(what: string, ask: () => Promise<boolean>, timeoutMs = 15_000, everyMs = 100): Promise<void> {
  const limit = performance.now() + timeoutMs
  while (!(await ask())) {
    if (performance.now() > limit) throw new Error(`Timed out after ${timeoutMs / 1000} s: ${what}`)
    await pause(everyMs)
  }
}

/** Starts a deployment of the newest commit and returns its id. */
export async function deploy({ client, service }: Stage): Promise<Deployment> {
  const { deployWebService } = await client.ask<{ deployWebService: { deployment: Deployment } }>(
    `mutation ($id: ID!) { deployWebService(input: { webServiceId: $id }) { deployment { ${deploymentFields} } } }`,
    { id: service.id },
  )
  return deployWebService.deployment
}

export const deploymentFields = 'id number status failure { phase code message hint }'

/** Follows a deployment by subscription until it has ended. */
export async function endOf({ client }: Stage, { id }: Deployment): Promise<Deployment> {
  let last: Deployment | undefined
  const updates = client.follow<{ deploymentUpdated: Deployment }>(
    `subscription ($id: ID!) { deploymentUpdated(deploymentId: $id) { ${deploymentFields} } }`,
    { id },
  )
  for await (const { deploymentUpdated } of updates) last = deploymentUpdated
  ensure(last !== undefined, 'deploymentUpdated sent no updates.')
  return last
}

/** Like `endOf`, but throws if the deployment isn't live. */
export async function liveEndOf(stage: Stage, deployment: Deployment): Promise<Deployment> {
  const ended = await endOf(stage, deployment)
  ensure(ended.status === 'LIVE', `Deployment ${ended.number} is ${ended.status}: ${ended.failure?.message ?? ''}`)
  return ended
}

/** Subscribes to the log after a cursor. */
export const followLog = ({ client }: Stage, { id }: Deployment, after?: string) =>
  client.follow<{ deploymentLogs: LogBatch }>(
    `subscription ($id: ID!, $after: String) { deploymentLogs(deploymentId: $id, after: $after) { ${logFields} } }`,
    { id, after },
  )

/** Reads the whole stored log, page by page. */
export async function storedLog({ client }: Stage, { id }: Deployment): Promise<Line[]> {
  const lines: Line[] = []
  let after: string | undefined
  for (;;) {
    const { deployment } = await client.ask<{ deployment: { logs: LogBatch } }>(
      `query ($id: ID!, $after: String) { deployment(id: $id) { logs(after: $after) { ${logFields} } } }`,
      { id, after },
    )
    lines.push(...deployment.logs.lines)
    if (deployment.logs.complete || deployment.logs.cursor === after) return lines
    after = deployment.logs.cursor
  }
}

export type Delivered = { id: string; type: string; data: Record<string, unknown> }

/** Verifies the signature of a request with the `svix` package and returns its body. Throws if it is not valid. */
export function verified({ headers, body }: ReceivedRequest, secret: string): Delivered {
  new Webhook(secret).verify(body, headers as Record<string, string>)
  return JSON.parse(body.toString())
}
