import type { Redis } from '../../../generated/prisma/client.ts'
import { type Plan, unlimited } from '../../apps/plan/index.ts'

const plan = (id: string, slug: string, name: string, mebibytes: number): Plan => ({
  ...unlimited,
  id,
  serviceType: 'REDIS',
  slug,
  name,
  memoryLimitBytes: mebibytes * 2 ** 20,
})

export const redisPlans: readonly Plan[] = [
  plan('e32f87d0-26a5-51bb-9714-b9ac21f750a3', 'standard', 'Standard (128 MiB)', 128),
  plan('438dc935-5080-591b-8794-44702c0b98d6', 'medium', 'Medium (512 MiB)', 512),
  plan('063fa7b7-4e01-54a7-8fee-0bbe61e901d7', 'large', 'Large (2 GiB)', 2_048),
  plan('2c37390d-a60f-5361-9e64-8a54ddb31981', 'extra-large', 'Extra large (8 GiB)', 8_192),
]

/** The plan whose limits an instance has. Null if it was given other ones. */
export const planOfRedis = ({ maxMemoryBytes }: Pick<Redis, 'maxMemoryBytes'>): Plan | null =>
  redisPlans.find((plan) => plan.memoryLimitBytes === maxMemoryBytes) ?? null
