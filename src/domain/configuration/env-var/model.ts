/** What keys and values of variables may be, whoever holds them. Pure. */
import { z } from 'zod'

/** Shown in place of a secret value; always this long, and no value itself. */
export const mask = '********'

export const maxValueBytes = 64 * 1024
/** Of one service or one project. */
export const maxEntries = 1_000
/** Of one bulk. */
export const maxBulk = 500

/** Shorter values are left in logs: taking them out would hide nothing that can't be guessed. */
export const redactedLength = 4

export const keySchema = z
  .string()
  .max(255, { error: 'must be at most 255 characters' })
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: 'must contain only letters, digits and _, and must not begin with a digit' })

/** Never put into a message: what is wrong with a value is said without it. */
export const valueSchema = z.string().superRefine((value, context) => {
  const problem = problemOfValue(value)
  if (problem) context.addIssue({ code: 'custom', message: problem })
})

function problemOfValue(value: string): string | null {
  if (value === mask) return 'must not be the mask that is shown in place of a secret value'
  if (Buffer.byteLength(value) > maxValueBytes) return `must be at most ${maxValueBytes} bytes`
  return null
}

export const isShort = (value: string): boolean => value.length < redactedLength

/** Set by the runtime for each instance; whoever else gives one is not heard. */
export const reservedKeys: ReadonlySet<string> = new Set(['PORT', 'HOST'])

/** What to know of a value that was written. */
export function writeWarnings(key: string, { isSecret, isShort }: { isSecret: boolean; isShort: boolean }): string[] {
  return [
    ...(isSecret && isShort ? [`${key}: the value has fewer than ${redactedLength} characters and is not redacted from logs.`] : []),
    ...(reservedKeys.has(key) ? [`${key} is reserved: Quayside sets it for each instance, and this value is not used.`] : []),
  ]
}

/** Adds an issue for each entry whose name stands before it already; at most `maxBulk` entries. */
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

export const valueIdentity = (id: string) => `env_var:${id}:value`
