/** Fields that the bodies of this contract share. */
import { z } from 'zod'
import { encodeId, type IdType } from '../../platform/id.ts'
import type { Slice } from '../../platform/page.ts'

export { time, timeOf, timeOrNull, words } from '../core/index.ts'

/** Path of the dialect. */
export const prefix = '/api/public/v1'

export const idOf = (prefix: string) => z.string().regex(new RegExp(`^${prefix}_[0-9a-z]{26}$`))

export const idOrNull = (type: IdType, id: string | null): string | null => id && encodeId(type, id)

/** A list of the contract. */
export const listOf = <Item extends z.ZodType>(item: Item) =>
  z.object({
    items: z.array(item),
    total: z.int().min(0).describe('Total number of items in the list.'),
    page: z.int().min(1).describe('Number of this page, starting at 1.'),
    page_size: z.int().min(1).max(100).describe('Maximum number of items on a page.'),
  })

export const defaultPageSize = 20

/** The body of a list. */
export const pageOf = <Item>({ total, limit, offset }: Slice<unknown>, items: Item[]) => {
  const size = limit ?? defaultPageSize
  return { items, total, page: offset / size + 1, page_size: size }
}
