/** The build caches: one for each service, bounded each and all together. */
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
  /** Makes the directory, fresh where it is told to. */
  open(serviceId: string, options: { clear: boolean }): Promise<string>
  /** Measures a cache after its build, and drops what is over the quotas. */
  settle(serviceId: string): Promise<void>
  remove(serviceId: string): Promise<void>
  /** The services that have one. */
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

  /** Oldest first. One that was never measured is a build's that was cut off: it counts for nothing until the next one. */
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
      // On a full disk it counts with its former size; the build itself says what is wrong.
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
