/** Finds a free slug for a new row. */
import { defineErrors } from './errors.ts'
import { slugVariant } from './name.ts'

export const slugErrors = defineErrors({ slug_taken: { kind: 'conflict', text: 'This slug is already in use.' } })

/**
 * Inserts with the asked slug, or with one made from the name and varied on a clash. `insert` answers null where the slug is
 * taken (`on conflict do nothing`). Throws `slug_taken` for an asked one.
 */
export async function insertWithSlug<Row>(
  slug: { asked: string | null | undefined; made: string },
  insert: (slug: string) => Promise<Row | null>,
): Promise<Row> {
  let candidate = slug.asked ?? slug.made
  for (let tries = 0; tries < 20; tries++) {
    const row = await insert(candidate)
    if (row) return row
    if (slug.asked) break
    candidate = slugVariant(slug.made)
  }
  throw slugErrors.slug_taken({ field: 'slug', details: { slug: candidate } })
}
