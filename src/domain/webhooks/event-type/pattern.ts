/** Patterns of event types: the name of a type, or a prefix with `*` as its last segment (`deployment.*`). */
import { type Sql, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import type { EventDefinition, EventTypes } from '../../../platform/events.ts'

/** Throws `invalid_input` for the first pattern that is not valid or matches no event type. `field`: where the patterns are in the input. */
export function demandPatterns(types: EventTypes, patterns: readonly string[], field: string): void {
  for (const [index, pattern] of patterns.entries()) {
    const problem = problemOfPattern(types, pattern)
    if (problem) throw errors.invalid_input({ field: `${field}.${index}`, text: `${field}.${index}: ${problem}` })
  }
}

/** Why a pattern is not valid; null if it is. */
export function problemOfPattern(types: EventTypes, pattern: string): string | null {
  if (!pattern.includes('*')) return types.get(pattern) ? null : `event type ${quoted(pattern)} does not exist`
  if (!/^[^*]+\.\*$/.test(pattern))
    return `${quoted(pattern)} is not valid: * must be the whole last segment, as in deployment.*. To select all types, give none`
  return typesOf(types, [pattern]).length > 0 ? null : `no event type begins with ${quoted(prefixOf(pattern))}`
}

const quoted = (text: string) => JSON.stringify(text.slice(0, 100))
const prefixOf = (pattern: string) => pattern.slice(0, -1)
const matches = (pattern: string, type: string) => (pattern.endsWith('.*') ? type.startsWith(prefixOf(pattern)) : type === pattern)

/** The event types that patterns match. No patterns match all types. */
export const typesOf = (types: EventTypes, patterns: readonly string[]): EventDefinition[] =>
  types.all.filter(({ type }) => patterns.length === 0 || patterns.some((pattern) => matches(pattern, type)))

/** The same in SQL, for a type and a text array of patterns. */
export const matchesPatterns = (type: Sql, patterns: Sql): Sql => sql`
  (cardinality(${patterns}) = 0
   or exists (select 1 from unnest(${patterns}) as p(pattern)
              where p.pattern = ${type} or (right(p.pattern, 2) = '.*' and starts_with(${type}, left(p.pattern, -1)))))`
