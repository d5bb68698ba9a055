/** Bodies of the CPU and memory that services use. The limits are null, because services have none. */
import { z } from 'zod'
import type { Metrics } from '../../domain/deploys/usage/index.ts'
import type { Named } from '../core/index.ts'
import { time, timeOf } from './field.ts'

const point = z
  .object({
    cpu_usage_millicores: z.int().min(0).describe('CPU time per second, in thousandths of a core.'),
    cpu_limit_millicores: z.null(),
    cpu_usage_percent: z.number().min(0).nullable().describe('CPU use in percent of what the machine has. Null if that is not known.'),
    memory_usage_bytes: z.int().min(0).describe('Resident memory of all processes of the instances. Shared memory is counted for each.'),
    memory_limit_bytes: z.null(),
    memory_usage_percent: z
      .number()
      .min(0)
      .nullable()
      .describe('Memory use in percent of what the machine has. Null if that is not known.'),
    instance_count: z.int().min(0).describe('Number of instances that were measured.'),
    timestamp: time.describe('End of the minute.'),
  })
  .describe('CPU and memory that the instances of a web service used, as averages of a minute.')

const metrics = point
  .extend({
    cpu_usage_millicores: point.shape.cpu_usage_millicores.nullable(),
    memory_usage_bytes: point.shape.memory_usage_bytes.nullable(),
    instance_count: z.int().min(0).describe('Number of instances that were measured, or are running.'),
    timestamp: time.nullable().describe('Time of the measurement.'),
  })
  .describe(
    'CPU and memory that the instances of a web service use together. Null while nothing is measured, such as without a running instance and in the first seconds.',
  )

const metricsHistory = z
  .object({ data_points: z.array(point), period_seconds: z.int() })
  .describe('Metrics of a web service, oldest first. Minutes in which nothing was measured are absent.')

export const metricsSchemas = { metrics, metricsHistory }

export const metricsBodies: Named[] = [
  { id: 'MetricsPoint', schema: point },
  { id: 'Metrics', schema: metrics },
  { id: 'MetricsHistory', schema: metricsHistory },
]

export const metricsBody = ({ at, ...used }: Metrics): z.infer<typeof metrics> => ({
  cpu_usage_millicores: used.millicores,
  cpu_limit_millicores: null,
  cpu_usage_percent: used.cpuPercent,
  memory_usage_bytes: used.memoryBytes,
  memory_limit_bytes: null,
  memory_usage_percent: used.memoryPercent,
  instance_count: used.instances,
  timestamp: at && timeOf(at),
})

export const metricsHistoryBody = (found: { points: Metrics[]; periodSeconds: number }): z.infer<typeof metricsHistory> => ({
  data_points: found.points.map((one) => metricsBody(one) as z.infer<typeof point>),
  period_seconds: found.periodSeconds,
})
