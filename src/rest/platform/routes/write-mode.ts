/** How a bulk says what becomes of the rows that it doesn't name. */
import { z } from 'zod'
import type { Sources } from '../../core/index.ts'
import { writeModes } from '../vocabulary.ts'

export const writeMode: Sources = {
  mode: {
    to: 'mode',
    words: writeModes,
    fallback: 'merge',
    schema: z.enum(['merge', 'replace']),
    description: '`replace` deletes what the request does not name, for which the key must be one that may delete.',
  },
}

/** Said of each bulk: existing clients send back the items of a list, with their `id`. */
export const bulkText = 'All or nothing. An `id` in an item is not looked at, and what is equal stays as it is.'
