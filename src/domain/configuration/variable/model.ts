/** The rules that all variables share, whichever concept stores them: names, values, sizes and warnings. Pure. */
import { z } from 'zod'
import { mask } from '../../../platform/mask.ts'

export { mask }

export const maxValueBytes = 64 * 1024
/** Limit for each service and each project. */
export const maxEntries = 1_000
/** Limit for each bulk write. */
export const maxBulk = 500

/** Shorter values are not redacted from logs: they occur in ordinary text, and redacting them would hide nothing that can't be guessed. */
export const minRedactedLength = 4

export const isTooShortToRedact = (value: string): boolean => value.length < minRedactedLength

/** Names that the runtime sets for each instance. A variable with such a name is accepted and ignored. */
export const reservedKeys: ReadonlySet<string> = new Set(['PORT', 'HOST'])

export const keySchema = z
  .string()
  .max(255, { error: 'must be at most 255 characters' })
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: 'must contain only letters, digits and _, and must not begin with a digit' })

/** Its messages never contain the value. */
export const valueSchema = z.string().superRefine((value, context) => {
  const problem = problemOfValue(value)
  if (problem) context.addIssue({ code: 'custom', message: problem })
})

function problemOfValue(value: string): string | null {
  if (value === mask) return 'must not be the mask that is shown in place of a secret value'
  if (Buffer.byteLength(value) > maxValueBytes) return `must be at most ${maxValueBytes} bytes`
  return null
}

/** The entries of a bulk write. */
export const bulkOf = <Entry extends z.ZodType>(entry: Entry) =>
  z.array(entry).max(maxBulk, { error: `must have at most ${maxBulk} items` })

/** What a bulk write does with entries that it does not list. */
export const modeSchema = z.enum(['MERGE', 'REPLACE'], { error: 'must be MERGE or REPLACE' }).nullish()

/** Adds an issue at `field` of each item whose name an earlier item already has. */
export const uniqueBy =
  <Item>(field: string, nameOf: (item: Item) => string) =>
  (items: Item[], context: z.RefinementCtx): void => {
    const seen = new Set<string>()
    for (const [index, item] of items.entries()) {
      const name = nameOf(item)
      if (seen.has(name)) context.addIssue({ code: 'custom', path: [index, field], message: `${name} is given more than once` })
      seen.add(name)
    }
  }

/** Warnings about a value that was written. */
export function writeWarnings(key: string, { isSecret, isShort }: { isSecret: boolean; isShort: boolean }): string[] {
  return [
    ...(isSecret && isShort ? [`${key}: the value has fewer than ${minRedactedLength} characters and is not redacted from logs.`] : []),
    ...(reservedKeys.has(key) ? [`${key} is reserved: Quayside sets it for each instance, and this value is not used.`] : []),
  ]
}
