/** Fields that the bodies of this contract share. */
import { z } from 'zod'

export const id = z.string().describe('UUID of the object.').meta({ format: 'uuid' })
export const time = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  .describe('Time in UTC, with a precision of one second.')
export const total = z.int().min(0).describe('Total number of items in the list.')
export const words = <Word extends string>(record: Record<string, Word>) => z.enum(Object.values(record) as [Word, ...Word[]])

export const timeOf = (at: Date): string => `${at.toISOString().slice(0, 19)}Z`
export const timeOrNull = (at: Date | null): string | null => at && timeOf(at)
