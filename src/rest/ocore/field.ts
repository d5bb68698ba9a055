/** Fields and small bodies that the rows of this contract share. */
import { z } from 'zod'
import type { Named } from '../core/index.ts'

export const id = z.string().describe('UUID of the object.').meta({ format: 'uuid' })
export const time = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  .describe('Time in UTC, with a precision of one second.')
export const words = <Word extends string>(record: Record<string, Word>) => z.enum([...new Set(Object.values(record))] as [Word, ...Word[]])

export const timeOf = (at: Date): string => `${at.toISOString().slice(0, 19)}Z`
export const timeOrNull = (at: Date | null): string | null => at && timeOf(at)

/** What was done, such as a deletion. */
export const message = z.object({ message: z.string().describe('What was done.') }).describe('The request was carried out.')

/** The response to a request whose work goes on. */
export const accepted = z
  .object({ id, status: z.string().describe('Status of the object from now on.'), message: z.string().describe('What is being done.') })
  .describe('The request was accepted, and the work goes on.')

export const sharedBodies: Named[] = [
  { id: 'Message', schema: message },
  { id: 'Accepted', schema: accepted },
]

/** Response of a row that is done with its work and has nothing to show. */
export const done = (text: string) => ({ status: 200, schema: message, reply: () => ({ message: text }) }) as const
