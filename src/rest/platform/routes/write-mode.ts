/** Query parameter of bulk writes: what happens to existing items that the request does not list. */
import { z } from 'zod'
import type { Sources } from '../../core/index.ts'
import { writeModes } from '../vocabulary.ts'

export const writeMode: Sources = {
  mode: {
    to: 'mode',
    words: writeModes,
    fallback: 'merge',
    schema: z.enum(['merge', 'replace']),
    description:
      'What to do with existing items that the request does not list: `merge` keeps them, `replace` deletes them, which requires a key with the scope `admin`.',
  },
}

/** Description of every bulk write. Existing clients send back the items of a list, with their `id`. */
export const bulkText =
  'All items are written, or none. The field `id` of an item is ignored. Items that are equal to the stored ones are left unchanged.'
