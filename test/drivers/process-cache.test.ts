/** Limits on the disk space of build caches and tools, and the order in which they are removed. */
import { randomUUID } from 'node:crypto'
import { mkdir, readdir, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { buildRequest, fileSource, openRuntime, quiet, recording, until } from './process-support.ts'

const filling = (bytes: number) => `mkdir -p "$XDG_CACHE_HOME" && head -c ${bytes} /dev/zero > "$XDG_CACHE_HOME/kept"`
const request = (serviceId: string, buildCommand: string) => buildRequest(fileSource({}), { serviceId, startCommand: 'true', buildCommand })

it('all caches together stay within their quota: the least recently used one is removed first', async () => {
  const { runtime, dataDir } = await openRuntime({ sandbox: 'none', quotas: { allCachesBytes: 2500 } })
  const caches = async () => (await readdir(join(dataDir, 'caches'))).sort()
  const services = ['one', 'two', 'three']
  for (const [age, serviceId] of services.entries()) {
    await runtime.build(request(serviceId, filling(1000)), quiet())
    // The file system's clock may not tick between two builds.
    const then = new Date(Date.now() - (10 - age) * 60_000)
    await utimes(join(dataDir, 'cache-sizes', serviceId), then, then)
  }
  expect(await caches()).toEqual(['three', 'two'])
  // A failed build uses its cache too.
  await expect(runtime.build(request('two', 'exit 1'), quiet())).rejects.toMatchObject({ code: 'BUILD_FAILED' })
  await runtime.build(request('four', filling(1000)), quiet())
  expect(await caches()).toEqual(['four', 'two'])
  await runtime.removeService('two')
  expect(await caches()).toEqual(['four'])
  expect(await readdir(join(dataDir, 'cache-sizes'))).toEqual(['four'])
})

it('a cache that is in use by a build is not removed', async () => {
  const { runtime, dataDir } = await openRuntime({ sandbox: 'none', quotas: { allCachesBytes: 1500 } })
  await runtime.build(request('busy', filling(1000)), quiet())
  const abort = new AbortController()
  const io = recording(abort.signal)
  const building = runtime.build(request('busy', 'echo begun; sleep 600'), io)
  building.catch(() => undefined)
  await until(async () => io.text().includes('\nbegun'))
  await runtime.build(request('other', filling(1000)), quiet())
  expect(await readdir(join(dataDir, 'caches/busy/xdg'))).toEqual(['kept'])
  abort.abort(new Error('enough'))
  await expect(building).rejects.toThrow('enough')
})

it('tools that no release references and that were not used recently are removed', async () => {
  const { runtime, dataDir } = await openRuntime({ sandbox: 'none' })
  const old = new Date(Date.now() - 24 * 3_600_000)
  for (const name of ['pnpm-1.0.0', 'pnpm-2.0.0']) await mkdir(join(dataDir, 'tools', name))
  await utimes(join(dataDir, 'tools/pnpm-1.0.0'), old, old)
  await runtime.sweep()
  expect(await readdir(join(dataDir, 'tools'))).toEqual(['pnpm-2.0.0'])
})

it('the runtime lists the releases and services that it stores, and describes a release', async () => {
  const { runtime } = await openRuntime({ sandbox: 'none' })
  const wanted = { ...request(randomUUID(), 'echo built > made.txt'), deploymentId: randomUUID() }
  const { digest, sizeBytes } = await runtime.build(wanted, quiet())
  expect(await runtime.kept()).toEqual({ digests: [digest], serviceIds: [wanted.serviceId] })
  expect(await runtime.describeRelease(digest)).toEqual({ serviceId: wanted.serviceId, deploymentId: wanted.deploymentId, sizeBytes })
  expect(await runtime.describeRelease(`sha256:${'0'.repeat(64)}`)).toBeNull()
})
