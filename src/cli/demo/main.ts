/** The main job: deploy, follow the log, switch under traffic, fail without downtime, roll back, and receive webhooks. */
import { setTimeout as pause } from 'node:timers/promises'
import { call, type Line, startTraffic, type Traffic } from './client.ts'
import { ensure } from './report.ts'
import {
  type Chapter,
  type Deployment,
  deploy,
  deploymentFields,
  endOf,
  followLog,
  liveEndOf,
  type Stage,
  storedLog,
  verified,
} from './stage.ts'

export const chapter: Chapter = {
  about: 'deploy, live log, switch under traffic, failed deploy, rollback, webhooks',
  parts(stage) {
    const made: Deployment[] = []
    return [
      { name: 'Deploy v1, log live', show: () => deployFirst(stage, made) },
      { name: 'Route a request', show: () => callIt(stage) },
      { name: 'Deploy v2 under traffic', show: () => deploySecond(stage, made) },
      { name: 'Log cut and resumed', show: () => compareLogs(stage, made[1]!) },
      { name: 'v3 fails, v2 stays live', show: () => deployThird(stage, made) },
      { name: 'Roll back to v1', show: () => rollBack(stage, made) },
      { name: 'Webhooks', show: () => readWebhooks(stage) },
    ]
  },
}

async function deployFirst(stage: Stage, made: Deployment[]): Promise<string> {
  const started = performance.now()
  const deployment = await deploy(stage)
  made.push(deployment)
  const ending = liveEndOf(stage, deployment)
  let lines = 0
  let streamed = 0
  for await (const { deploymentLogs } of followLog(stage, deployment)) {
    for (const line of deploymentLogs.lines) print(stage, line)
    lines += deploymentLogs.lines.length
    if (!deploymentLogs.complete) streamed++
  }
  await ending
  ensure(streamed > 1, 'The log arrived only after the deployment had ended.')
  const stored = await storedLog(stage, deployment)
  ensure(stored.length === lines, `${lines} lines arrived, but ${stored.length} are stored.`)
  return `live after ${((performance.now() - started) / 1000).toFixed(1)} s, ${lines} lines in ${streamed} batches`
}

const print = ({ report }: Stage, { seq, stream, message }: Line) =>
  report.say(`  ${String(seq).padStart(4)} ${stream.toLowerCase().padEnd(6)} ${message}`)

async function callIt({ service, report }: Stage): Promise<string> {
  const { status, body, release } = await call(service.url, '/')
  report.say(`  GET ${service.url} -> ${status} ${body.trim()} (release ${release?.slice(0, 12)}…)`)
  ensure(status === 200 && body.trim() === 'v1', `The response is ${status} ${body.trim()}, not 200 v1.`)
  ensure(release !== undefined, 'The response does not name a release.')
  return `${status} ${body.trim()}`
}

/** While v2 is deployed, the log subscription loses its connection. */
let resumed: { lines: Line[]; before: number } | undefined

async function deploySecond(stage: Stage, made: Deployment[]): Promise<string> {
  await stage.repository.commit({ 'version.txt': 'v2\n' }, 'Version 2')
  return underTraffic(stage, ['v1', 'v2'], async () => {
    const deployment = await deploy(stage)
    made.push(deployment)
    const [, followed] = await Promise.all([liveEndOf(stage, deployment), followWithCut(stage, deployment)])
    resumed = followed
  })
}

/** Sends requests to the service meanwhile. Holds if none failed and all responses come from the given versions. */
async function underTraffic(stage: Stage, versions: string[], act: () => Promise<void>): Promise<string> {
  const traffic = startTraffic(stage.service.url)
  try {
    await act()
    // The former release drains during this time.
    await pause(1_000)
  } finally {
    await traffic.stop()
  }
  ensure(traffic.failures.length === 0, `${traffic.failures.length} of ${traffic.count()} requests failed, first ${traffic.failures[0]}`)
  const seen = [...traffic.bodies.keys()]
  ensure(seen.length === versions.length && versions.every((version) => traffic.bodies.has(version)), `Answered: ${seen.join(', ')}.`)
  return figuresOf(traffic)
}

const figuresOf = ({ bodies, failures, count }: Traffic) =>
  `${count()} requests, ${failures.length} failed: ${[...bodies].map(([body, times]) => `${times}x ${body}`).join(', ')}`

/** Cuts the socket during the build and resumes from the last cursor. */
async function followWithCut(stage: Stage, deployment: Deployment): Promise<{ lines: Line[]; before: number }> {
  const lines: Line[] = []
  let cursor: string | undefined
  const first = followLog(stage, deployment)
  const broken = await (async () => {
    for await (const { deploymentLogs } of first) {
      lines.push(...deploymentLogs.lines)
      cursor = deploymentLogs.cursor
      if (lines.length >= 40) first.cut()
    }
  })().then(
    () => false,
    () => true,
  )
  ensure(broken && cursor !== undefined, 'The log ended before it could be cut.')
  const before = lines.length
  stage.report.say(`  cut behind line ${before}; resuming`)
  for await (const { deploymentLogs } of followLog(stage, deployment, cursor)) lines.push(...deploymentLogs.lines)
  return { lines, before }
}

async function compareLogs(stage: Stage, deployment: Deployment): Promise<string> {
  ensure(resumed !== undefined, 'No log was followed.')
  const { lines, before } = resumed
  const stored = await storedLog(stage, deployment)
  const seqs = new Set(lines.map(({ seq }) => seq))
  const duplicated = lines.length - seqs.size
  const lost = stored.filter(({ seq }) => !seqs.has(seq)).length
  const changed = stored.filter(({ message }, index) => lines[index]?.message !== message).length
  ensure(duplicated === 0 && lost === 0 && changed === 0, `${lost} lines lost, ${duplicated} duplicated, ${changed} not as stored.`)
  ensure(before < lines.length, 'Nothing was left to resume.')
  return `${before} lines, cut, ${lines.length - before} more; ${stored.length} stored; 0 lost, 0 duplicated`
}

async function deployThird(stage: Stage, made: Deployment[]): Promise<string> {
  await stage.repository.commit({ 'version.txt': 'v3\n', unhealthy: '' }, 'Version 3, which is not well')
  await allowHealth(stage, 4_000)
  let failure = null as Deployment['failure']
  const figures = await underTraffic(stage, ['v2'], async () => {
    const deployment = await deploy(stage)
    made.push(deployment)
    const ended = await endOf(stage, deployment)
    ensure(ended.status === 'FAILED', `Deployment ${ended.number} is ${ended.status}, not FAILED.`)
    failure = ended.failure
  })
  await allowHealth(stage, null)
  const { phase, code, message, hint } = failure!
  stage.report.say(`  ${phase} ${code}: ${message}${hint ? ` ${hint}` : ''}`)
  return `${code} in ${phase}; ${figures}`
}

/** Sets the time within which a new release must pass its health check. Null means the default, two minutes. */
const allowHealth = ({ client, service }: Stage, healthTimeoutMs: number | null) =>
  client.ask(
    'mutation ($id: ID!, $healthTimeoutMs: Int) { updateWebService(input: { id: $id, healthTimeoutMs: $healthTimeoutMs }) { webService { id } } }',
    { id: service.id, healthTimeoutMs },
  )

async function rollBack(stage: Stage, made: Deployment[]): Promise<string> {
  const { client, report } = stage
  const [first] = made
  const { rollbackPlan } = await client.ask<{
    rollbackPlan: { eligible: boolean; blockers: { message: string }[]; changes: { kind: string; key: string; from: string; to: string }[] }
  }>('query ($id: ID!) { rollbackPlan(deploymentId: $id) { eligible blockers { message } changes { kind key from to } } }', {
    id: first!.id,
  })
  for (const { kind, key, from, to } of rollbackPlan.changes) report.say(`  plan: ${kind} ${key} ${from} -> ${to}`)
  ensure(rollbackPlan.eligible, `The rollback is not eligible: ${rollbackPlan.blockers.map(({ message }) => message).join(' ')}`)

  const started = performance.now()
  let seconds = ''
  const figures = await underTraffic(stage, ['v2', 'v1'], async () => {
    const { rollbackDeployment } = await client.ask<{ rollbackDeployment: { deployment: Deployment } }>(
      `mutation ($id: ID!) { rollbackDeployment(input: { deploymentId: $id }) { deployment { ${deploymentFields} } } }`,
      { id: first!.id },
    )
    await liveEndOf(stage, rollbackDeployment.deployment)
    seconds = ((performance.now() - started) / 1000).toFixed(1)
  })
  const { body } = await call(stage.service.url, '/')
  ensure(body.trim() === 'v1', `The service answers ${body.trim()}, not v1.`)
  return `live after ${seconds} s; ${figures}`
}

/** The events that must have been delivered by now: type and number of the deployment. */
const expectedEvents = [
  'deployment.queued 1',
  'deployment.started 1',
  'deployment.succeeded 1',
  'deployment.superseded 1',
  'deployment.succeeded 2',
  'deployment.failed 3',
  'deployment.superseded 2',
  'deployment.succeeded 4',
  'deployment.rolled_back 4',
]

async function readWebhooks({ receiver, secret, report }: Stage): Promise<string> {
  const read = () => receiver.requests.map((request) => verified(request, secret))
  const name = ({ type, data }: ReturnType<typeof verified>) => (data.number === undefined ? type : `${type} ${data.number}`)
  const missing = () => {
    const names = new Set(read().map(name))
    return expectedEvents.filter((name) => !names.has(name))
  }
  await receiver.waitFor(() => missing().length === 0).catch(() => ensure(false, `No webhook arrived for: ${missing().join(', ')}`))
  const messages = read()
  for (const message of messages) report.say(`  ${message.id} ${name(message)}`)
  const ids = new Set(messages.map(({ id }) => id))
  return `${messages.length} received, all verified by svix; ${ids.size} events`
}
