import { z } from 'zod'
import { type Source, trueOrFalse } from '../../core/index.ts'

/** Whether the deletion of a managed database also disconnects it. */
export const disconnects: Source = {
  to: 'force',
  read: trueOrFalse,
  fallback: false,
  schema: z.boolean(),
  description: 'Whether to disconnect web services too. If false, the request fails with a conflict when any are connected.',
}
