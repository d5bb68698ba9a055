/** CPU and memory that the instances of services use: measured by the process that takes care of them, and kept for a day. */
import { defineConcept } from '../../../platform/concept.ts'
import { expireUsage, sampleUsage } from './jobs.ts'
import { findMetrics, findMetricsHistory } from './queries.ts'

export type { Metrics } from './model.ts'
export { currentMetrics, findMetrics, findMetricsHistory, historyInput, metricsHistory } from './queries.ts'

export const usage = defineConcept({
  name: 'usage',
  queries: [findMetrics, findMetricsHistory],
  chores: [sampleUsage, expireUsage],
})
