import type { EventDefinition, EventTypes } from '../../../platform/events.ts'
import type { IdType } from '../../../platform/id.ts'

/**
 * Why a filter entry can't be: it is neither the name of a type nor a prefix of one with `*` as its last segment (`deployment.*`).
 * Null when it can.
 */
export function problemOfPattern(types: EventTypes, pattern: string): string | null {
  if (!pattern.includes('*')) return types.get(pattern) ? null : `event type ${quoted(pattern)} does not exist`
  if (!/^[^*]+\.\*$/.test(pattern))
    return `${quoted(pattern)} is not valid: * must be the whole last segment, as in deployment.*. To select all types, give none`
  const prefix = pattern.slice(0, -1)
  return types.all.some(({ type }) => type.startsWith(prefix)) ? null : `no event type begins with ${quoted(prefix)}`
}

const quoted = (text: string) => JSON.stringify(text.slice(0, 100))

/** The types that patterns name; none: all types. */
export const typesOf = (types: EventTypes, patterns: readonly string[]): EventDefinition[] =>
  types.all.filter(
    ({ type }) =>
      patterns.length === 0 ||
      patterns.some((pattern) => (pattern.endsWith('.*') ? type.startsWith(pattern.slice(0, -1)) : type === pattern)),
  )

/** What events of these patterns are about. */
export const subjectTypesOf = (types: EventTypes, patterns: readonly string[]): IdType[] => [
  ...new Set(typesOf(types, patterns).map(({ subject }) => subject)),
]

/** The versions that types of these patterns have, lowest first. */
export const versionsOf = (types: EventTypes, patterns: readonly string[]): number[] => {
  const versions = typesOf(types, patterns).flatMap(({ version, former = [] }) => [version, ...former.map((each) => each.version)])
  return [...new Set(versions)].sort((a, b) => a - b)
}

/** The highest version that any type has; a new endpoint is pinned to it. */
export const newestVersion = (types: EventTypes): number => Math.max(1, ...types.all.map(({ version }) => version))

/**
 * The data of an event in the highest version up to `pinned` that the type has, or in its lowest one when all are higher. Data
 * that was published in such a version is given as it is.
 */
export function inVersion(
  types: EventTypes,
  type: string,
  version: number,
  data: unknown,
  pinned: number,
): { version: number; data: unknown } {
  if (version <= pinned) return { version, data }
  let present = { version, data }
  for (const former of types.get(type)?.former ?? []) {
    if (former.version >= present.version) continue
    try {
      present = { version: former.version, data: former.from(present.data as never) }
    } catch {
      // Data that breaks its schema (EVENT_SCHEMA=lenient) may not be made of: it goes out in the version that it is in.
      break
    }
    if (present.version <= pinned) break
  }
  return present
}
