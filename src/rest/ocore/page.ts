/** Pages of the contract: `{data, next_cursor, has_more}`. A cursor is base64url of `{"id": …}`, with the ID of the last item of a page. */
import { z } from 'zod'
import type { Page } from '../../platform/page.ts'
import { type Sources, wholeNumber } from '../core/index.ts'

export const defaultPageSize = 20

export const pageSources = (size: number | null): Sources => ({
  limit: {
    to: 'first',
    read: wholeNumber,
    fallback: size ?? defaultPageSize,
    schema: z.int().min(1).max(100),
    description: 'Maximum number of items to return.',
  },
  cursor: { to: 'afterId', read: idOfCursor, schema: z.string(), description: 'The `next_cursor` of the page before this one.' },
})

/** An empty text, which the domain rejects, for anything but a cursor. */
function idOfCursor(text: unknown): unknown {
  try {
    return (JSON.parse(Buffer.from(String(text), 'base64url').toString()) as { id?: unknown }).id ?? ''
  } catch {
    return ''
  }
}

const cursorOf = (id: string): string => Buffer.from(JSON.stringify({ id })).toString('base64url')

/** A list of the contract. */
export const listOf = <Item extends z.ZodType>(item: Item) =>
  z.object({
    data: z.array(item),
    next_cursor: z.string().optional().describe('Cursor of the next page. Absent on the last page.'),
    has_more: z.boolean().describe('Whether there is another page.'),
  })

/** The body of a list. `items` are the bodies of the page's rows. */
export function pageOf<Item>({ rows, hasNextPage }: Pick<Page<{ id: string }>, 'rows' | 'hasNextPage'>, items: Item[]) {
  const last = rows.at(-1)
  return { data: items, ...(hasNextPage && last ? { next_cursor: cursorOf(last.id) } : {}), has_more: hasNextPage }
}
