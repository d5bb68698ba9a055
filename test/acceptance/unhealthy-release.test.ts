/** Releases that start and then serve badly: under traffic, no client reaches one, and each failure states its cause. */
import { describe, expect, it } from 'vitest'
import type { RepositoryFiles } from '../support/git-repository.ts'
import { acceptance, type Data, sendTraffic, until } from './support.ts'

const world = acceptance({ SWITCH_WATCH_MS: '1500' })

const listens = `.listen(process.env.PORT, process.env.HOST)`
const http = (reply: string) => `require('node:http').createServer((question, answer) => { ${reply} })${listens}`
const tcp = (reply: string) => `require('node:net').createServer((socket) => { socket.on('error', () => {}); ${reply} })${listens}`

type Sick = { server: string; settings?: Data; code?: string; phase?: string; says: string }

/** Deploys over a live release, under traffic. Returns the outcome and what clients received. */
async function deployOver(name: string, { server, settings = {} }: Pick<Sick, 'server' | 'settings'>, files: RepositoryFiles = {}) {
  const repository = await world.app('lab')
  const service = await world.service({ name, repositoryUrl: repository.url })
  const first = await world.live(service)
  await repository.commit({ 'server.js': server, ...files }, 'sick')
  await world.mutate('updateWebService', { id: service.id, healthTimeoutMs: 7_000, ...settings }, 'webService { id }')
  const sent = sendTraffic(world.server, service.slug, { clients: 2 })
  const failed = await world.end(await world.deploy(service))
  const answered = sent.traffic.answered
  await until('traffic goes on', () => sent.traffic.answered > answered + 20)
  const traffic = await sent.stop()
  expect(await world.server.router(service.slug)).toMatchObject({ status: 200, headers: { 'x-quayside-deployment': first.id } })
  expect(await world.read(service)).toMatchObject({ liveDeployment: { id: first.id } })
  return { service, failed, traffic, messages: (await world.log(failed)).map((line) => line.message) }
}

const sick: [string, Sick][] = [
  ['opens its port and never answers', { server: tcp(''), says: 'does not answer GET /' }],
  ['resets every connection', { server: tcp('socket.resetAndDestroy()'), says: 'does not send a complete HTTP response' }],
  [
    'answers garbage',
    { server: tcp("socket.once('data', () => socket.end('220 mail ready\\r\\n'))"), says: 'does not send a complete HTTP response' },
  ],
  [
    'answers half',
    {
      server: tcp("socket.once('data', () => socket.end('HTTP/1.1 200 OK\\r\\nContent-Length: 10\\r\\n\\r\\nhalf'))"),
      says: 'does not send a complete HTTP response',
    },
  ],
  ['takes 15 s for its first answer', { server: http('setTimeout(() => answer.end(), 15_000)'), says: 'increase healthTimeoutMs' }],
  ['answers once and then hangs', { server: `let asked = 0; ${http('if (asked++ === 0) answer.end()')}`, says: 'does not answer GET /' }],
  [
    'answers once on each connection',
    { server: tcp("socket.once('data', () => socket.write('HTTP/1.1 204 No Content\\r\\n\\r\\n'))"), says: 'does not answer GET /' },
  ],
  [
    'listens on ::1 only',
    {
      server: `require('node:http').createServer((q, a) => a.end()).listen(process.env.PORT, '::1')`,
      says: 'The app listens only on ::1.',
    },
  ],
  [
    'has no page at its health path',
    { server: http('answer.writeHead(404).end()'), settings: { healthCheckPath: '/healthz' }, says: 'no page at /healthz' },
  ],
]

describe.concurrent('a release is never shown to a visitor when it', () => {
  it.each(sick)('%s', async (what, { server, settings, code = 'HEALTH_TIMEOUT', says }) => {
    const { failed, traffic } = await deployOver(`Sick ${what}`.slice(0, 50), { server, settings })
    expect(failed.failure).toMatchObject({ phase: 'VERIFY', code, hint: expect.stringContaining(says) })
    expect(traffic.failures).toEqual([])
    expect(traffic.releases.size).toBe(1)
  })

  it('is unhealthy in one of several instances', async () => {
    const gate = await world.gate()
    const server = gate.first(`(isSick) => { ${http('if (!isSick) answer.end()')} }`)
    const { failed, traffic } = await deployOver('One of three', { server, settings: { minInstances: 3, maxInstances: 3 } })
    expect(failed.failure).toMatchObject({ phase: 'VERIFY', code: 'HEALTH_TIMEOUT' })
    expect(traffic).toMatchObject({ failures: [] })
    expect(traffic.releases.size).toBe(1)
  })
})

describe.concurrent('a release that fails after the traffic switch', () => {
  it('loses the traffic at once, and the failure says so', async () => {
    // Healthy as long as it receives only the router's probes.
    const server = http("if (!String(question.headers['user-agent']).startsWith('Quayside-Health')) process.exit(7); answer.end()")
    const { failed, traffic, messages } = await deployOver('Falls over', { server })
    expect(failed.failure).toMatchObject({ phase: 'SWITCH', code: 'START_FAILED', message: expect.stringContaining('exited with code 7') })
    expect(messages.some((message) => message.startsWith('SWITCH failed'))).toBe(true)
    // The requests that killed it have no response. All others were held until the previous release served again.
    expect(traffic.failures.length).toBeLessThanOrEqual(2)
  })
})

describe.concurrent('a release that hangs as soon as its probes are answered', () => {
  it.each([
    ['without an answer', 'return', 'does not answer GET /'],
    ['in the middle of an answer', "return void answer.write('the beginning')", 'does not end it'],
  ])('%s: traffic is switched back after one check, and the failure states what was observed', async (what, hangs, says) => {
    const server = `let asked = 0; ${http(`if (++asked > 3) ${hangs}; answer.end('good')`)}`
    const { failed, traffic } = await deployOver(`Hangs ${what}`, { server })
    expect(failed.failure).toMatchObject({
      phase: 'SWITCH',
      code: 'SWITCH_FAILED',
      message: expect.stringContaining('stopped'),
      hint: expect.stringContaining(says),
    })
    // The requests that it holds have no response: one of each client, and one more for each retry.
    expect(traffic.failures.length).toBeLessThanOrEqual(4)
  })
})

describe('a wrong port', () => {
  it('is named in the log while the deployment still waits for the release', async () => {
    const repository = await world.app('lab', {
      'server.js': `require('node:http').createServer((q, a) => a.end()).listen(0, '127.0.0.1', function () { console.log('port ' + this.address().port) })`,
    })
    const service = await world.service({ name: 'Port at once', repositoryUrl: repository.url })
    const deployment = await world.deploy(service)
    await until('the log names it', async () =>
      (await world.log(deployment)).some((line) =>
        /the app listens on port \d+ instead of the port in the variable PORT/.test(line.message),
      ),
    )
    expect(await world.deployment(deployment.id)).toMatchObject({ status: 'RUNNING', phase: 'VERIFY' })
    await world.cancel(deployment)
  })
})
