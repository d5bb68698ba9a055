/** Deleted services leave nothing on the disk. */
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { acceptance, type Data, until } from './support.ts'

const world = acceptance()

/** Folders in which the drivers store files of services and of steps. */
const rooms = ['releases', 'caches', 'cache-sizes', 'work', 'instances', 'ports', 'git']

async function kept(): Promise<string[]> {
  const found = rooms.map(async (room) => {
    const names = await readdir(join(world.server.dataDir, room)).catch(() => [])
    return names.map((name) => `${room}/${name}`)
  })
  return (await Promise.all(found)).flat()
}

const untilNothingIsKept = () => until('nothing of any service is kept', async () => (await kept()).length === 0, 150_000)

it('50 deleted services, most of them without a successful build, leave nothing', async () => {
  const repository = await world.repository({ 'index.html': '<h1>site</h1>' })
  const fill = 'mkdir -p $XDG_CACHE_HOME && head -c 100000 /dev/urandom > $XDG_CACHE_HOME/downloaded'
  const services: Data[] = []
  for (let i = 0; i < 50; i++) {
    const how =
      i % 5 === 0
        ? { kind: 'STATIC_SITE' }
        : i % 5 === 1
          ? { buildCommand: `${fill}; sleep 600`, startCommand: 'true' }
          : { buildCommand: `${fill}; exit 3`, startCommand: 'true' }
    services.push(await world.service({ name: `Service ${i}`, repositoryUrl: repository.url, ...how }))
  }
  const deployments = await Promise.all(services.map((service) => world.deploy(service)))
  const ends = await Promise.all(
    deployments.map(async (deployment, i) => {
      if (i % 5 === 1) {
        await world.phase(deployment, 'BUILD')
        await world.cancel(deployment)
      }
      return (await world.end(deployment, 200_000)).status
    }),
  )
  expect(ends).toEqual(services.map((_service, i) => (i % 5 === 0 ? 'LIVE' : i % 5 === 1 ? 'CANCELLED' : 'FAILED')))
  const before = await kept()
  expect(before.filter((name) => name.startsWith('caches/'))).toHaveLength(50)
  expect(before.filter((name) => name.startsWith('releases/'))).toHaveLength(10)
  await Promise.all(services.map((service) => world.remove(service)))
  await untilNothingIsKept()
})

it('files of a killed process are removed by the next one', async () => {
  const repository = await world.repository({ 'index.html': '<h1>site</h1>' })
  const service = await world.service({ name: 'Cut', repositoryUrl: repository.url, buildCommand: 'sleep 600', startCommand: 'true' })
  await world.phase(await world.deploy(service), 'BUILD')
  await until('it builds', async () => (await kept()).some((name) => name.startsWith('work/')))
  await world.remove(service)
  await world.server.kill('SIGKILL')
  const { dataDir } = world.server
  const digest = 'a'.repeat(64)
  await mkdir(join(dataDir, 'releases', digest, 'tree'), { recursive: true })
  const manifest = { digest: `sha256:${digest}`, serviceId: 'gone', deploymentId: 'gone', kind: 'static', sizeBytes: 1 }
  await writeFile(join(dataDir, 'releases', digest, 'manifest.json'), JSON.stringify(manifest))
  await mkdir(join(dataDir, 'releases', 'b'.repeat(64)))
  await mkdir(join(dataDir, 'git', 'session-1-1-00000000-0000-0000-0000-000000000000-abcdef'), { recursive: true })
  await writeFile(join(dataDir, 'processes', '999999999'), JSON.stringify({ kind: 'worker', started: '1' }))
  await writeFile(join(dataDir, 'processes', '999999999.draft'), '{}')
  await world.server.start()
  await untilNothingIsKept()
  const names = [...(await readdir(join(dataDir, 'processes'))), ...(await readdir(dataDir))]
  expect(names.filter((name) => name.includes('999999999'))).toEqual([])
})
