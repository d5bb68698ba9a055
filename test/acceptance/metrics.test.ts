/** CPU and memory of a running service, measured by the server. */
import { expect, it } from 'vitest'
import { acceptance, type Data, until } from './support.ts'

const world = acceptance()

async function read(service: Data): Promise<Data> {
  const query = `query ($id: ID!) { webService(id: $id) { metrics {
    cpuUsageMillicores memoryUsageBytes instanceCount history(periodSeconds: 3600) { timestamp cpuUsageMillicores memoryUsageBytes } } } }`
  return (await world.server.gql(query, { id: service.id })).webService.metrics
}

const rest = async (service: Data, path: string) => {
  const url = `${new URL(world.server.url).origin}/api/web-services/${service.id}${path}`
  return (await (await fetch(url, { headers: { 'x-api-key': world.server.key } })).json()) as Data
}

it('shows the core that a service burns, and its memory, and keeps the history when the server is restarted', async () => {
  const burn = 'const kept = Buffer.alloc(100 << 20, 1); for (;;) Math.sqrt(kept[0])'
  const { url } = await world.repository({ 'burn.js': burn })
  const settings = { kind: 'WORKER', buildCommand: 'true', startCommand: 'node burn.js' }
  const service = await world.service({ name: 'Burner', repositoryUrl: url, ...settings })
  expect(await read(service)).toEqual({ cpuUsageMillicores: null, memoryUsageBytes: null, instanceCount: 0, history: [] })
  await world.live(service)
  // A busy machine leaves it less than a core.
  const isBurning = ({ cpuUsageMillicores: cpu, memoryUsageBytes: bytes }: Data) => cpu > 200 && bytes > 100 << 20
  const metrics = await until('the burner is measured', async () => {
    const seen = await read(service)
    return isBurning(seen) && seen.history.length > 1 && seen
  })
  expect(metrics.cpuUsageMillicores).toBeLessThan(1_300)
  expect(metrics).toMatchObject({ instanceCount: 1 })
  expect(await rest(service, '/metrics')).toMatchObject({ cpu_limit_millicores: null, memory_limit_bytes: null, instance_count: 1 })

  await world.server.kill('SIGTERM')
  await world.server.start()
  const { history } = await read(service)
  expect(history.slice(0, metrics.history.length)).toEqual(metrics.history)
  const { data_points: points } = await rest(service, '/metrics/history?period=600')
  expect(points.length).toBeGreaterThanOrEqual(metrics.history.length)
  await until('it is measured again', async () => {
    const seen = await read(service)
    return isBurning(seen) && seen.history.length > history.length
  })
  for (const { cpuUsageMillicores } of (await read(service)).history) expect(cpuUsageMillicores).toBeLessThan(1_300)
})
