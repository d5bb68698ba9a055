/** Bodies of plans. */
import { z } from 'zod'
import type { Plan } from '../../domain/apps/plan/index.ts'
import type { Named } from '../core/index.ts'
import { id, total, words } from './field.ts'
import { planServiceTypes } from './vocabulary.ts'

const unless = 'Null means it is not limited.'

const plan = z
  .object({
    id,
    service_type: words(planServiceTypes),
    slug: z.string().describe('Slug of the plan. Unique within its service type.'),
    name: z.string(),
    monthly_price_cents: z.literal(0),
    cpu_limit: z.number().nullable().describe(`Maximum number of CPU cores in use. ${unless}`),
    memory_limit_mb: z.int().nullable().describe(`Maximum memory in MiB; of a Redis instance, for data. ${unless}`),
    storage_limit_gb: z.int().nullable().describe(`Maximum size on disk in GiB. ${unless}`),
    max_connections: z.int().nullable().describe('Maximum number of concurrent connections to a database. Null for other services.'),
  })
  .describe('A plan.')

export const planList = z.object({ plans: z.array(plan), total }).describe('List of plans, smallest first.')

export const planBodies: Named[] = [
  { id: 'Plan', schema: plan },
  { id: 'PlanList', schema: planList },
]

const whole = (bytes: number | null, unit: number) => bytes && Math.floor(bytes / unit)

export const planBody = (row: Plan): z.infer<typeof plan> => ({
  id: row.id,
  service_type: planServiceTypes[row.serviceType],
  slug: row.slug,
  name: row.name,
  monthly_price_cents: 0,
  cpu_limit: row.cpuLimit,
  memory_limit_mb: whole(row.memoryLimitBytes, 2 ** 20),
  storage_limit_gb: whole(row.storageLimitBytes, 2 ** 30),
  max_connections: row.maxConnections,
})
