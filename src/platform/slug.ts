/** Finds a free slug for a new row. */
import { defineErrors } from './errors.ts'
import { slugVariant } from './name.ts'

export const slugErrors = defineErrors({ slug_taken: { kind: 'conflict', text: 'This slug is already in use.' } })

/**
 * Inserts a row with the requested slug, or with the generated one, which gets a random suffix if it is taken. `insert` returns null if the
 * slug is taken (`on conflict do nothing`). Throws `slug_taken` if the requested slug is taken.
 */
export async function insertWithSlug<Row>(
  slug: { requested: string | null | undefined; generated: string },
  insert: (slug: string) => Promise<Row | null>,
): Promise<Row> {
  let candidate = slug.requested ?? slug.generated
  for (let attempts = 0; attempts < 20; attempts++) {
    const row = await insert(candidate)
    if (row) return row
    if (slug.requested) break
    candidate = slugVariant(slug.generated)
  }
  throw slugErrors.slug_taken({ field: 'slug', details: { slug: candidate } })
}
