/** Rules of disks, and the jobs that measure and remove their data. The store is a fake; the real one is tested with the driver. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createWebService, deleteWebService, updateWebService } from '../../../src/domain/apps/web-service/index.ts'
import { createDisk, deleteDisk, diskStore, updateDisk } from '../../../src/domain/deploys/disk/index.ts'
import { measureDisks, removeDeletedDisks } from '../../../src/domain/deploys/disk/jobs.ts'
import { areNested, mountPathProblem, variableOf } from '../../../src/domain/deploys/disk/model.ts'
import type { DiskStore } from '../../../src/domain/deploys/disk/ports.ts'
import { execute } from '../../../src/platform/command.ts'
import { row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { PortError } from '../../../src/platform/errors.ts'
import { newId } from '../../../src/platform/id.ts'
import { createTenant, createWorld, request, type Tenant, type World } from '../../support/tenant.ts'

let world: World
let tenant: Tenant
beforeAll(async () => {
  world = await createWorld()
  tenant = await createTenant(world.app)
})
afterAll(() => world.close())

// biome-ignore lint/suspicious/noExplicitAny: any command
const call = (command: any, input: Record<string, unknown>) => execute(request(world.app, tenant.owner), command, input) as Promise<any>
const service = async (settings: Record<string, unknown> = {}): Promise<string> =>
  (await call(createWebService, { name: `shop ${newId()}`, ...settings })).webService.id
const MiB = 2 ** 20
const disk = (webServiceId: string, input: Record<string, unknown> = {}) =>
  call(createDisk, { webServiceId, name: 'data', mountPath: '/data', sizeBytes: MiB, ...input })
const refused = (code: string, field?: string) => expect.objectContaining({ code, ...(field ? { field } : {}) })
const pass = (job: typeof measureDisks) => job.run(world.app, new AbortController().signal)
const eventsOf = async (id: string) =>
  (await rows<{ type: string }>(world.app.db, sql`select type from event where subject_id = ${id}::uuid order by ordinal`)).map(
    ({ type }) => type,
  )

describe('the path of a disk', () => {
  it.each(['/data', '/app/uploads', '/app/var/lib/a-b_c.d', '/var/data', '/srv/shop', '/home/app/cache', '/mnt/x'])('may be %s', (path) => {
    expect(mountPathProblem(path)).toBeNull()
  })

  it.each([
    ...['data', '/', '', '/data/', '//data', '/da ta', '/data/../etc', '/data/.', '/däta', '/data\n', '/da:ta'],
    ...[
      '/app',
      '/home',
      '/home/app',
      '/var',
      '/srv',
      '/etc/shop',
      '/usr',
      '/usr/data',
      '/proc/1',
      '/sys',
      '/dev/shm',
      '/tmp',
      '/tmp/x',
      '/run/quayside',
    ],
    ...['/var/run/x', '/var/tmp', '/lib64', '/tools/x', '/cache', '/root/.ssh'],
  ])('must not be %j', (path) => {
    expect(mountPathProblem(path)).toMatch(/^must /)
  })

  it('is nested only with a path that is the same, above or below', () => {
    expect(areNested('/data', '/data/deep')).toBe(true)
    expect(areNested('/data/deep', '/data')).toBe(true)
    expect(areNested('/data', '/database')).toBe(false)
    expect(variableOf('up-loads')).toBe('QUAYSIDE_DISK_UP_LOADS')
  })
})

describe('createDisk and updateDisk', () => {
  it('refuse what a service cannot have, and write nothing', async () => {
    const id = await service()
    await disk(id)
    await expect(disk(id, { mountPath: '/other' })).rejects.toEqual(refused('disk_name_taken', 'name'))
    await expect(disk(id, { name: 'deep', mountPath: '/data/deep' })).rejects.toEqual(refused('mount_path_taken', 'mountPath'))
    await expect(disk(id, { name: 'etc', mountPath: '/etc/shop' })).rejects.toEqual(refused('invalid_input', 'mountPath'))
    await expect(disk(id, { name: 'small', mountPath: '/small', sizeBytes: 1 })).rejects.toEqual(refused('invalid_input', 'sizeBytes'))
    await expect(disk(await service({ kind: 'STATIC_SITE' }))).rejects.toEqual(refused('disk_not_supported'))
    await expect(disk(await service({ minInstances: 1, maxInstances: 2 }))).rejects.toEqual(refused('disk_needs_one_instance'))
    for (const name of ['b', 'c', 'd', 'e']) await disk(id, { name, mountPath: `/${name}` })
    await expect(disk(id, { name: 'f', mountPath: '/f' })).rejects.toEqual(refused('too_many_disks'))
    expect(await rows(world.app.db, sql`select 1 from disk where web_service_id = ${id}::uuid`)).toHaveLength(5)
    await expect(call(updateWebService, { id, minInstances: 2 })).rejects.toEqual(refused('invalid_input'))
    await expect(call(updateWebService, { id, minInstances: 2, maxInstances: 2 })).rejects.toEqual(
      refused('one_instance_only', 'maxInstances'),
    )
    await expect(call(updateWebService, { id, kind: 'STATIC_SITE' })).rejects.toEqual(refused('one_instance_only', 'kind'))
    await call(updateWebService, { id, name: 'Renamed' })
  })

  it('let a disk grow and not shrink, and two requests at once create one disk', async () => {
    const id = await service()
    const outcomes = await Promise.allSettled([disk(id), disk(id)])
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    const { id: diskId } = (await row<{ id: string }>(world.app.db, sql`select id from disk where web_service_id = ${id}::uuid`))!
    await expect(call(updateDisk, { id: diskId, sizeBytes: MiB + 1 })).resolves.toMatchObject({ disk: { sizeBytes: MiB + 1, version: 2 } })
    await expect(call(updateDisk, { id: diskId, sizeBytes: MiB })).rejects.toEqual(refused('invalid_input', 'sizeBytes'))
    await expect(call(updateDisk, { id: diskId, name: 'data' })).resolves.toMatchObject({ disk: { version: 2 } })
    expect(await eventsOf(diskId)).toEqual(['disk.created', 'disk.updated'])
  })
})

describe('the data of disks', () => {
  it('is measured by one process, and reported once while it is over the limit', async () => {
    await run(world.app.db, sql`delete from disk`)
    const made = (await disk(await service())).disk.id as string
    let [used, calls] = [MiB, 0]
    const countCall = (ids: readonly string[]) => {
      calls++
      return new Map(ids.map((id) => [id, used]))
    }
    const store = { measureDisks: async (ids) => countCall(ids) } as Partial<DiskStore> as DiskStore
    const other = await world.process()
    diskStore.provide(world.app, store)
    diskStore.provide(other, store)
    const again = () => run(world.app.db, sql`update disk set measured_at = app_now() - interval '1 hour'`)
    await Promise.all([pass(measureDisks), measureDisks.run(other, new AbortController().signal)])
    await pass(measureDisks)
    expect(calls).toBe(1)
    for (used of [MiB + 1, MiB + 2, MiB, MiB + 3]) {
      await again()
      await pass(measureDisks)
    }
    expect(await eventsOf(made)).toEqual(['disk.created', 'disk.over_limit', 'disk.over_limit'])
    await call(updateDisk, { id: made, sizeBytes: 2 * MiB })
    expect(await row(world.app.db, sql`select over_limit, used_bytes from disk where id = ${made}::uuid`)).toEqual({
      overLimit: false,
      usedBytes: MiB + 3,
    })
    // A slow measurement is repeated less often.
    await run(world.app.db, sql`update disk set measured_at = app_now() - interval '1 hour', measure_ms = 3600000`)
    calls = 0
    await pass(measureDisks)
    expect(calls).toBe(0)
  })

  it('is removed with the disk, or with the service, as soon as no instance has it', async () => {
    const id = await service()
    const { disk: made } = await disk(id)
    await run(world.app.db, sql`update web_service set desired_state = 'RUNNING' where id = ${id}::uuid`)
    await expect(call(deleteDisk, { id: made.id })).rejects.toEqual(refused('disk_in_use'))
    await call(deleteDisk, { id: made.id, force: true })
    expect(await row(world.app.db, sql`select generation from web_service where id = ${id}::uuid`)).toEqual({ generation: 1 })
    const { disk: second } = await disk(id)
    await call(deleteWebService, { id })
    expect(await eventsOf(second.id)).toEqual(['disk.created', 'disk.deleted'])

    let inUse = true
    const removed: string[] = []
    const removeDisk: DiskStore['removeDisk'] = async (diskId) => {
      if (inUse) throw new PortError('DISK_IN_USE', 'The disk is in use by another instance.')
      removed.push(diskId)
    }
    diskStore.provide(world.app, { removeDisk } as Partial<DiskStore> as DiskStore)
    await pass(removeDeletedDisks)
    expect(removeDeletedDisks.dueInMs?.(world.app)).toBe(1_000)
    inUse = false
    await pass(removeDeletedDisks)
    expect(removed).toEqual([made.id, second.id])
    expect(removeDeletedDisks.dueInMs?.(world.app)).toBeNull()
    await run(world.app.db, sql`update disk_removal set created_at = app_now() - interval '11 minutes'`)
    await pass(removeDeletedDisks)
    expect(await rows(world.app.db, sql`select 1 from disk_removal`)).toEqual([])
  })
})
