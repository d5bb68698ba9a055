/** REST as a CI pipeline uses it, by curl alone: deploys of an environment with an oec key, and a service with a platform key. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { call } from './client.ts'
import { ensure } from './report.ts'
import { type Chapter, type Stage, until } from './stage.ts'

export const chapter: Chapter = {
  about: 'a CI pipeline by curl: deploy and redeploy an environment and poll the task; create, configure and deploy a service',
  parts(stage) {
    const story: Story = { actingKey: '', pollingKey: '', environment: '', commit: '', service: '', host: '' }
    return [
      { name: 'Create oec keys', show: () => createKeys(stage, story) },
      { name: 'Deploy the environment', show: () => deployEnvironment(stage, story) },
      { name: 'Redeploy the same commit', show: () => redeploy(stage, story) },
      { name: 'Status of the environment', show: () => status(stage, story) },
      { name: 'Create a service', show: () => createService(stage, story) },
      { name: 'Set variables', show: () => setVariables(stage, story) },
      { name: 'Deploy the service', show: () => deployService(stage, story) },
      { name: 'Read its log', show: () => readLog(stage, story) },
    ]
  },
}

/** Keys that only read may send more requests, so they poll. */
type Story = { actingKey: string; pollingKey: string; environment: string; commit: string; service: string; host: string }

const deployMs = 120_000
const pollMs = 1_000
const run = promisify(execFile)

// biome-ignore lint/suspicious/noExplicitAny: an answer of any shape
type Json = any

type Curl = { key: string; body?: object; quiet?: boolean }

/** Sends a request by curl and prints the command. Throws with the response if its status is 400 or higher. */
async function curl({ server, report }: Stage, method: string, path: string, { key, body, quiet = false }: Curl): Promise<Json> {
  const sent = [...(method === 'GET' ? [] : ['-X', method]), new URL(path, server.url).href]
  const data = body ? ['-H', 'Content-Type: application/json', '-d', JSON.stringify(body)] : []
  if (!quiet) report.say(`  curl ${[...sent, ...data].map((word) => (/[\s"]/.test(word) ? `'${word}'` : word)).join(' ')}`)
  const { stdout } = await run('curl', [
    '-sS',
    '--fail-with-body',
    '-m',
    '30',
    '-H',
    `Authorization: Bearer ${key}`,
    ...sent,
    ...data,
  ]).catch((error: Error & { stdout?: string; code?: unknown }) => {
    throw new Error(error.code === 'ENOENT' ? 'curl is not installed.' : `${method} ${path} failed: ${error.stdout || error.message}`)
  })
  return stdout === '' ? null : JSON.parse(stdout)
}

async function createKeys(stage: Stage, story: Story): Promise<string> {
  const create = async (scope: 'READ' | 'WRITE'): Promise<string> => {
    const query =
      'mutation ($scope: ApiKeyScope!, $p: ID!) { createApiKey(input: { name: "demo pipeline", kind: OEC, scope: $scope, projectId: $p }) { plaintextKey apiKey { id } } }'
    const body = { query, variables: { scope, p: stage.projectId } }
    const { createApiKey } = (await curl(stage, 'POST', '/graphql', { key: stage.server.key, body })).data
    const revoke = 'mutation ($id: ID!) { revokeApiKey(input: { id: $id }) { apiKey { id } } }'
    stage.undo.push(() => stage.client.ask(revoke, { id: createApiKey.apiKey.id }))
    return createApiKey.plaintextKey
  }
  story.actingKey = await create('WRITE')
  story.pollingKey = await create('READ')
  return `${[story.actingKey, story.pollingKey].map((key) => `${key.slice(0, 12)}…`).join(', ')}, limited to the project`
}

const oec = (stage: Stage, { actingKey, pollingKey }: Story, method: string, path: string, quiet = false) =>
  curl(stage, method, path.startsWith('/api/') ? path : `/api/public/v1${path}`, { key: method === 'GET' ? pollingKey : actingKey, quiet })

/** Begins an action and polls its task until it has ended. */
async function act(stage: Stage, story: Story, action: string): Promise<Json> {
  const begun = await oec(stage, story, 'POST', `/environments/${story.environment}/actions/${action}`)
  let task: Json
  let seen = ''
  await until(
    `${action} has ended`,
    async () => {
      task = await oec(stage, story, 'GET', begun.poll_url, seen !== '')
      const now = `  ${task.status}, ${task.progress_percent} %${task.current_step ? `: ${task.current_step}` : ''}`
      if (now !== seen) stage.report.say(now)
      seen = now
      return task.completed_at !== null
    },
    deployMs,
    pollMs,
  )
  ensure(task.status === 'completed', `The task is ${task.status}: ${task.error_message}`)
  return task
}

async function deployEnvironment(stage: Stage, story: Story): Promise<string> {
  const [project] = (await oec(stage, story, 'GET', '/projects')).items
  const [environment] = (await oec(stage, story, 'GET', `/projects/${project.id}/environments`)).items
  story.environment = environment.id
  const { duration_seconds, deployments } = await act(stage, story, 'deploy')
  story.commit = deployments[0].commit
  return `completed after ${duration_seconds} s, commit ${story.commit.slice(0, 7)}`
}

async function redeploy(stage: Stage, story: Story): Promise<string> {
  await stage.repository.commit({ 'version.txt': 'v2' }, 'A commit that must not be deployed yet')
  const { duration_seconds, deployments } = await act(stage, story, 'redeploy')
  ensure(deployments[0].commit === story.commit, 'Another commit was deployed.')
  return `completed after ${duration_seconds} s, commit ${story.commit.slice(0, 7)} again`
}

async function status(stage: Stage, story: Story): Promise<string> {
  let state: Json
  await until('the environment answers', async () => {
    state = await oec(stage, story, 'GET', `/environments/${story.environment}/status`, state !== undefined)
    return state.status === 'running' && state.http_ok
  })
  const { body } = await call(stage.service.url, '/')
  ensure(body.trim() === 'v1', `The app answers ${body.trim()}.`)
  return `${state.status}, http_ok ${state.http_ok}, the app answers ${body.trim()}`
}

const platform = (stage: Stage, method: string, path: string, body?: object, quiet = false) =>
  curl(stage, method, `/api${path}`, { key: stage.server.key, quiet, ...(body ? { body } : {}) })

async function createService(stage: Stage, story: Story): Promise<string> {
  const body = { name: 'Pipeline app', project_id: stage.projectId, git_repository_url: stage.repository.url }
  const service = await platform(stage, 'POST', '/web-services', body)
  story.service = `/web-services/${service.id}`
  story.host = service.url
  return `${service.name}, ${service.status}`
}

async function setVariables(stage: Stage, { service }: Story): Promise<string> {
  const variables = [
    { key: 'GREETING', value: 'hello' },
    { key: 'TOKEN', value: 'tok-4711', is_secret: true },
  ]
  const { environment_variables } = await platform(stage, 'PUT', `${service}/env/bulk`, { variables })
  return environment_variables.map(({ key, value }: Json) => `${key}=${value}`).join(', ')
}

async function deployService(stage: Stage, story: Story): Promise<string> {
  const begun = await platform(stage, 'POST', `${story.service}/deployments`, {})
  let now: Json = {}
  await until(
    'the service is deployed',
    async () => {
      const former = now.status
      now = await platform(stage, 'GET', `${story.service}/deployments/${begun.id}`, undefined, former !== undefined)
      if (now.status !== former) stage.report.say(`  ${now.status}`)
      return ['running', 'failed', 'cancelled'].includes(now.status)
    },
    deployMs,
    pollMs,
  )
  ensure(now.status === 'running', `The deployment is ${now.status}: ${now.error_message}`)
  const { body } = await call(story.host, '/')
  return `${now.status}, the app answers ${body.trim()}`
}

async function readLog(stage: Stage, { service }: Story): Promise<string> {
  let text = ''
  await until('the log has lines', async () => {
    text = (await platform(stage, 'GET', `${service}/logs?tail=20`, undefined, text !== '')).logs
    return / listens on /.test(text)
  })
  return `${text.trimEnd().split('\n').length} lines, the last one: ${text.trimEnd().split('\n').at(-1)!.replace(/^\S+ /, '')}`
}
