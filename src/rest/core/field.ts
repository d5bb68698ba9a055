/** Fields of bodies that all contracts write in the same way. */
import { z } from 'zod'

export const id = z.string().describe('UUID of the object.').meta({ format: 'uuid' })
export const time = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  .describe('Time in UTC, with a precision of one second.')
/** A contract may have one word for several of the domain's. */
export const words = <Word extends string>(record: Record<string, Word>) => z.enum([...new Set(Object.values(record))] as [Word, ...Word[]])

export const timeOf = (at: Date): string => `${at.toISOString().slice(0, 19)}Z`
export const timeOrNull = (at: Date | null): string | null => at && timeOf(at)
