import { z } from 'zod'
import type { Source } from './route.ts'

/** A time in ISO 8601. Any other value is passed on unchanged, and the domain rejects it. */
export const instant = (to: string, description: string): Source => ({
  to,
  read(value) {
    const isTime = typeof value === 'string' && /^\d{4}-\d\d-\d\d(T.+)?$/.test(value) && !Number.isNaN(Date.parse(value))
    return isTime ? new Date(value) : value
  },
  schema: z.iso.datetime(),
  description,
})
