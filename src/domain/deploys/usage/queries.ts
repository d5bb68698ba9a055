import { z } from 'zod'
import { defineQuery, type Read, visible } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import type { App } from '../../../platform/work.ts'
import { currentMs, latestSample } from './jobs.ts'
import { type Metrics, metricsOf } from './model.ts'
import { countRunning, historySeconds, readPoints } from './store.ts'

/**
 * Current metrics of services, in the order of the ids. A process that measures a service knows more than what is stored. A service without
 * running instances uses nothing, whatever it used before.
 */
export async function currentMetrics(app: App, serviceIds: readonly string[]): Promise<Metrics[]> {
  const running = await countRunning(app.db, serviceIds)
  const asked = serviceIds.filter((id, index) => running[index]! > 0 && latestSample(app, id) === null)
  const points = asked.length > 0 ? await readPoints(app.db, asked, currentMs(app) / 1_000) : []
  const stored = new Map(asked.map((id, index) => [id, points[index]!.at(-1) ?? null]))
  return serviceIds.map((id, index) => {
    const sample = running[index]! > 0 ? (latestSample(app, id) ?? stored.get(id) ?? null) : null
    return metricsOf(id, sample, running[index]!)
  })
}

export const historyInput = z.object({ periodSeconds: z.int().min(60).max(historySeconds).default(3_600) })

/** Metrics of services in a period up to now, oldest first. Absent where nothing was measured. */
export async function metricsHistory(app: App, serviceIds: readonly string[], periodSeconds: number): Promise<Metrics[][]> {
  const points = await readPoints(app.db, serviceIds, periodSeconds)
  return points.map((samples, index) => samples.map((sample) => metricsOf(serviceIds[index]!, sample, 0)))
}

/** Throws `not_found`. */
async function demandService({ tx, caller }: Read, id: string): Promise<void> {
  const found = await row(tx, sql`select s.id from web_service s where s.id = ${id}::uuid and ${visible(caller, sql`s`)}`)
  if (!found) throw errors.not_found({ field: 'webServiceId' })
}

export const findMetrics = defineQuery({
  name: 'webServiceMetrics',
  description: 'CPU and memory that the instances of a service use.',
  permission: 'view:web_services',
  ids: { webServiceId: 'WebService' },
  input: z.object({ webServiceId: z.string() }),
  async run(read, { webServiceId }) {
    await demandService(read, webServiceId)
    const [metrics] = await currentMetrics(read.app, [webServiceId])
    return metrics!
  },
})

export const findMetricsHistory = defineQuery({
  name: 'webServiceMetricsHistory',
  description: 'CPU and memory that the instances of a service used, oldest first.',
  permission: 'view:web_services',
  ids: { webServiceId: 'WebService' },
  input: historyInput.extend({ webServiceId: z.string() }),
  async run(read, { webServiceId, periodSeconds }) {
    await demandService(read, webServiceId)
    const [points] = await metricsHistory(read.app, [webServiceId], periodSeconds)
    return { points: points!, periodSeconds }
  },
})
