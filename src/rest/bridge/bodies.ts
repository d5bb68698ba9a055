import { z } from 'zod'
import type { Named } from '../core/index.ts'

/** The answer to a request that succeeded. */
export const success = <Data extends z.ZodType>(data: Data) => z.object({ success: z.literal(true), data, error: z.null() })

export const succeeded = <Data>(data: Data): { success: true; data: Data; error: null } => ({ success: true, data, error: null })

export const callBody = {
  id: 'CallResult',
  schema: success(z.unknown().describe('Result of the method.')).describe('The result of a call.'),
} satisfies Named

export const errorBody = {
  id: 'Error',
  schema: z
    .object({
      success: z.literal(false),
      data: z.null(),
      error: z.string().describe('What is wrong, for people.'),
      code: z.string().describe('Machine-readable code of the error.'),
    })
    .describe('An error.'),
} satisfies Named
