/** Services with a disk: its data is kept, one instance at a time has it, and requests wait while one replaces the other. */
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { acceptance, type Data, type Gate, sendTraffic, until } from './support.ts'

// On a busy machine, a release may take longer to start than requests usually wait.
const world = acceptance({ DISK_MEASURE_MS: '300', DISK_SWITCH_HOLD_MS: '200000' })

/** Notes each boot on its disk, and whether another instance had the disk at that moment. `stop` and `health` may wait for gates. */
const app = ({ stop, health }: { stop?: Gate; health?: Gate } = {}) => `
const fs = require('node:fs')
const at = (name) => process.env.QUAYSIDE_DISK_DATA + '/' + name
if (fs.existsSync(at('open'))) fs.appendFileSync(at('overlaps'), 'x')
fs.writeFileSync(at('open'), '')
const version = fs.readFileSync('version.txt', 'utf8').trim()
fs.appendFileSync(at('boots'), version + ' ')
if (fs.existsSync('sick')) fs.rmSync(at('open')), process.exit(3)
const server = require('node:http').createServer((question, answer) => {
  const healthy = (isOpen) => answer.writeHead(isOpen ? 200 : 503).end()
  if (question.url === '/health') return ${health ? health.ask('healthy') : 'healthy(true)'}
  const file = at(question.url.slice(1))
  answer.end(question.url === '/' ? version : fs.existsSync(file) ? fs.readFileSync(file) : '')
})
const close = () => server.close(() => (fs.rmSync(at('open')), process.exit()), server.closeIdleConnections())
const wait = (isOpen) => (isOpen ? close() : setTimeout(ask, 20))
const ask = () => ${stop ? stop.ask('wait') : 'wait(true)'}
process.on('SIGTERM', ask)
server.listen(process.env.PORT, process.env.HOST)
`

async function serviceWithDisk(name: string, gates?: Parameters<typeof app>[0], settings: Data = {}) {
  const repository = await world.repository({
    'server.js': app(gates),
    'version.txt': 'v1',
  })
  const service = await world.service({
    name,
    repositoryUrl: repository.url,
    startCommand: 'exec node server.js',
    healthCheckPath: '/health',
    ...settings,
  })
  const input = { webServiceId: service.id, name: 'data', mountPath: '/app/up/loads', sizeBytes: 2 ** 20 }
  const { disk } = await world.mutate('createDisk', input, 'disk { id variable }')
  return { repository, service, disk }
}

const ask = async (slug: string, file: string) => (await world.server.router(slug, `/${file}`)).body.trim()
const running = (service: Data) => until(`${service.slug} runs`, async () => (await world.read(service)).status === 'RUNNING')

describe('a service with a disk', () => {
  it('keeps its data over deployments, restarts and a failed release, answers every request, and stops at its limit', async () => {
    const { repository, service, disk } = await serviceWithDisk('Shop')
    const first = await world.live(service)
    expect(disk.variable).toBe('QUAYSIDE_DISK_DATA')
    const sending = sendTraffic(world.server, 'shop', { path: '/' })
    await repository.commit({ 'version.txt': 'v2' }, 'second')
    const second = await world.live(service)
    await world.command('restartWebService', service)
    await until('it has been restarted', async () => (await ask('shop', 'boots')) === 'v1 v2 v2')
    await repository.commit({ 'version.txt': 'v3', sick: '' }, 'sick')
    const failed = await world.end(await world.deploy(service))
    expect(failed).toMatchObject({ status: 'FAILED', failure: { phase: 'VERIFY', code: 'START_FAILED' } })
    await running(service)
    expect(await ask('shop', 'boots')).toBe('v1 v2 v2 v3 v2')
    expect(await ask('shop', 'overlaps')).toBe('')
    const { failures, releases } = await sending.stop()
    expect(failures).toEqual([])
    expect(releases.size).toBe(2)
    expect((await world.log(failed)).map(({ message }) => message)).toContain('Stopping the new release. The former one is started again.')
    expect(await world.read(service)).toMatchObject({ liveDeployment: { id: second.id }, instances: [{ restarts: 0 }] })

    const plans = await world.server.gql(
      `query ($s: ID!, $d: ID!) { deployPlan(webServiceId: $s) { warnings } rollbackPlan(deploymentId: $d) { warnings } }`,
      { s: service.id, d: first.id },
    )
    for (const plan of Object.values(plans)) expect((plan as Data).warnings.join()).toContain('Requests wait meanwhile')

    // Over its limit, the disk stops deployments, not the service.
    const disks = join(world.server.dataDir, 'disks')
    const [stored] = await readdir(disks)
    await writeFile(join(disks, stored!, 'data/large'), Buffer.alloc(2 ** 20 + 1, 'x'))
    const limit = async () =>
      (await world.server.gql('query ($id: ID!) { disk(id: $id) { isOverLimit } }', { id: disk.id })).disk.isOverLimit
    await until('it is over its limit', limit)
    expect(await world.end(await world.deploy(service))).toMatchObject({
      failure: { phase: 'PREPARE', code: 'NO_CAPACITY', message: 'The disk data is over its limit.' },
    })
    expect(await ask('shop', '')).toBe('v2')
    await world.mutate('updateDisk', { id: disk.id, sizeBytes: 2 ** 22 }, 'disk { id }')
    expect(await limit()).toBe(false)

    await world.remove(service)
    await until('its data is gone', async () => (await readdir(disks)).length === 0)
    await until('the service is gone', async () => (await world.read(service)) === null)
  })
})

describe('kill -9 of the server', () => {
  it('while the former instance stops, and while the new one is taken back: old or new, never both', async () => {
    const [stop, health, never, slow] = [await world.gate(), await world.gate(), await world.gate(), await world.gate()]
    const { repository, service } = await serviceWithDisk('Killed', { stop }, { shutdownGraceMs: 60_000 })
    await world.live(service)
    await repository.commit({ 'version.txt': 'v2', 'server.js': app({ health }) }, 'second')
    const deployment = await world.deploy(service)
    await until('the former instance is asked to stop', () => stop.refusals() > 0)
    const held = world.server.router('killed', '/').catch(() => 'cut off with the server')
    await world.server.kill('SIGKILL')
    await held
    await world.server.start()
    const last = world.server.router('killed', '/')
    stop.open()
    await until('the new instance is checked', () => health.refusals() > 0)
    health.open()
    expect(await world.end(deployment)).toMatchObject({ status: 'LIVE' })
    expect(await last).toMatchObject({ status: 200, body: 'v2' })
    expect(await ask('killed', 'boots')).toBe('v1 v2')

    // A deployment that is cancelled while requests wait leaves the former release running, also if that is interrupted.
    await repository.commit({ 'version.txt': 'v3', 'server.js': app({ health: never, stop: slow }) }, 'third')
    const cancelled = await world.deploy(service)
    await until('its instance is checked', () => never.refusals() > 0)
    await world.cancel(cancelled)
    await until('its instance is asked to stop', () => slow.refusals() > 0)
    await world.server.kill('SIGKILL')
    await world.server.start()
    const waiting = world.server.router('killed', '/')
    slow.open()
    expect(await world.end(cancelled)).toMatchObject({ status: 'CANCELLED' })
    expect(await waiting).toMatchObject({ status: 200, body: 'v2' })
    expect(await ask('killed', 'boots')).toBe('v1 v2 v3 v2')
    expect(await ask('killed', 'overlaps')).toBe('')
  })
})
