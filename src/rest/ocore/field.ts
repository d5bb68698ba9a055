/** Fields and small bodies that the rows of this contract share. */
import { z } from 'zod'
import { id, type Named } from '../core/index.ts'

export { id, time, timeOf, timeOrNull, words } from '../core/index.ts'

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
