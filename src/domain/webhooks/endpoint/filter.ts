/** Conditions on the `data` of an event, all of which must be met: `{"path.to.field": {"equals": …} | {"in": […]} | {"range": {"min": …, "max": …}}}`. Pure. */
import { z } from 'zod'
import { withoutProto } from './proto.ts'

const scalar = z.union([z.string().max(1_000), z.number(), z.boolean(), z.null()])
const bound = z.union([z.number(), z.string().max(100)])

const condition = z.union(
  [
    z.strictObject({ equals: scalar }),
    z.strictObject({ in: z.array(scalar).min(1).max(100) }),
    z.strictObject({
      range: z
        .strictObject({ min: bound.optional(), max: bound.optional() })
        .refine(({ min, max }) => min !== undefined || max !== undefined)
        .refine(({ min, max }) => min === undefined || max === undefined || (typeof min === typeof max && min <= max)),
    }),
  ],
  { error: 'a condition must be {"equals": value}, {"in": [values]} or {"range": {"min": …, "max": …}}' },
)

const path = z
  .string()
  .regex(/^[\w-]{1,60}(\.[\w-]{1,60}){0,9}$/, { error: 'a path must be names separated by dots, such as webService.id' })

export const filterSchema = withoutProto(
  z
    .record(path, condition, { error: 'must be an object of paths and conditions' })
    .refine((filter) => Object.keys(filter).length > 0, { error: 'must have at least one condition; omit it to receive all events' })
    .refine((filter) => Object.keys(filter).length <= 20, { error: 'must have at most 20 conditions' }),
)

export type PayloadFilter = z.infer<typeof filterSchema>

/** Whether `data` meets all conditions. A missing field equals nothing, not even null. A list meets a condition if one of its items does. */
export function matchesFilter(filter: PayloadFilter, data: unknown): boolean {
  return Object.entries(filter).every(([at, expected]) => {
    const found = valueAt(data, at)
    const candidates = Array.isArray(found) ? found : [found]
    return candidates.some((value) => meets(expected, value))
  })
}

function valueAt(data: unknown, at: string): unknown {
  let value = data
  for (const name of at.split('.')) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, name)) return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return value
}

function meets(expected: PayloadFilter[string], value: unknown): boolean {
  if ('equals' in expected) return value === expected.equals
  if ('in' in expected) return expected.in.some((item) => item === value)
  const { min, max } = expected.range
  // Strings compare as strings, which orders ISO times. A number is never compared with a string.
  const comparable = (limit: string | number | undefined): limit is string | number => limit !== undefined
  return [min, max].filter(comparable).every((limit) => typeof limit === typeof value) && above(min, value) && below(max, value)
}

const above = (min: string | number | undefined, value: unknown) => min === undefined || (value as number) >= (min as number)
const below = (max: string | number | undefined, value: unknown) => max === undefined || (value as number) <= (max as number)
