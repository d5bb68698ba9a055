/** The build caches: one for each service, with limits on each and on all of them together. */
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { StepIo } from '../../domain/deploys/instance/ports.ts'
import { writeWhole } from '../../platform/whole-file.ts'
import type { Quotas } from './disk.ts'
import { fileName, type Layout } from './layout.ts'
import { inThread } from './thread.ts'
import { isErrno } from './tree.ts'
import { cachesInUse, discard } from './workspace.ts'

export type Caches = {
  /** Creates the directory. With `clear`, deletes an existing one first. */
  open(serviceId: string, options: { clear: boolean }): Promise<string>
  /** Measures a cache after its build, and deletes caches that exceed the quotas. */
  settle(serviceId: string): Promise<void>
  remove(serviceId: string): Promise<void>
  /** Ids of the services that have a cache. */
  list(): Promise<string[]>
}

export function createCaches(layout: Layout, quotas: Quotas): Caches {
  const directoryOf = (serviceId: string) => join(layout.caches, fileName(serviceId))
  const sizeFileOf = (serviceId: string) => join(layout.cacheSizes, fileName(serviceId))

  async function remove(serviceId: string): Promise<void> {
    await discard(layout, directoryOf(serviceId))
    await rm(sizeFileOf(serviceId), { force: true })
  }

  const noteSize = (serviceId: string, sizeBytes: number) => writeWhole(sizeFileOf(serviceId), String(sizeBytes), { durable: false })

  /** Least recently used first. A cache that was never measured belongs to an interrupted build and does not count. */
  async function known(): Promise<{ serviceId: string; sizeBytes: number; usedAt: number }[]> {
    const found = (await readdir(layout.cacheSizes)).map(async (serviceId) => {
      const file = join(layout.cacheSizes, serviceId)
      const [text, stats] = await Promise.all([readFile(file, 'utf8').catch(() => '0'), stat(file).catch(() => null)])
      return { serviceId, sizeBytes: Number(text) || 0, usedAt: stats?.mtimeMs ?? 0 }
    })
    return (await Promise.all(found)).filter(({ serviceId }) => !serviceId.includes('.')).sort((one, other) => one.usedAt - other.usedAt)
  }

  return {
    async open(serviceId, { clear }) {
      if (clear) await remove(serviceId)
      await mkdir(directoryOf(serviceId), { recursive: true })
      return directoryOf(serviceId)
    },
    async settle(serviceId) {
      const io: StepIo = { output: () => undefined, signal: new AbortController().signal }
      const sizeBytes = await inThread('sizeOf', directoryOf(serviceId), io)
      if (sizeBytes > quotas.cacheBytes) return await remove(serviceId)
      // On a full disk, the previous size stays. The build itself reports the full disk.
      await noteSize(serviceId, sizeBytes).catch((error) => {
        if (!isErrno(error, 'ENOSPC', 'EDQUOT')) throw error
      })
      const caches = await known()
      let over = caches.reduce((sum, cache) => sum + cache.sizeBytes, 0) - quotas.allCachesBytes
      if (over <= 0) return
      const busy = await cachesInUse(layout)
      for (const cache of caches) {
        if (over <= 0) break
        if (busy.has(cache.serviceId)) continue
        await remove(cache.serviceId)
        over -= cache.sizeBytes
      }
    },
    remove,
    async list() {
      const names = [...(await readdir(layout.caches)), ...(await readdir(layout.cacheSizes))]
      return [...new Set(names)].filter((name) => !name.includes('.'))
    },
  }
}
