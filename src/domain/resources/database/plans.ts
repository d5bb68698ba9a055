import type { Database } from '../../../generated/prisma/client.ts'
import { type Plan, unlimited } from '../../apps/plan/index.ts'

const plan = (id: string, slug: string, name: string, maxConnections: number): Plan => ({
  ...unlimited,
  id,
  serviceType: 'POSTGRESQL',
  slug,
  name,
  maxConnections,
})

export const databasePlans: readonly Plan[] = [
  plan('775f1bd9-871a-517c-8a88-c4173793fb3e', 'standard', 'Standard (50 connections)', 50),
  plan('b4144469-1a18-5f39-8e55-6144f406e715', 'medium', 'Medium (100 connections)', 100),
  plan('1e74e195-fbaf-52da-83f7-88dc12755355', 'large', 'Large (200 connections)', 200),
]

/** The plan whose limits a database has. Null if it was given other ones. */
export const planOfDatabase = ({ maxConnections }: Pick<Database, 'maxConnections'>): Plan | null =>
  databasePlans.find((plan) => plan.maxConnections === maxConnections) ?? null
