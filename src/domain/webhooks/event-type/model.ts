import type { EventTypes } from '../../../platform/events.ts'
import type { IdType } from '../../../platform/id.ts'
import { typesOf } from './pattern.ts'

/** Types of the subjects of events that patterns match. */
export const subjectTypesOf = (types: EventTypes, patterns: readonly string[]): IdType[] => [
  ...new Set(typesOf(types, patterns).map(({ subject }) => subject)),
]

/** Versions of the types that patterns match, lowest first. */
export const versionsOf = (types: EventTypes, patterns: readonly string[]): number[] => {
  const versions = typesOf(types, patterns).flatMap(({ version, former = [] }) => [version, ...former.map((each) => each.version)])
  return [...new Set(versions)].sort((a, b) => a - b)
}

/** Highest version of any type. New endpoints are pinned to it. */
export const newestVersion = (types: EventTypes): number => Math.max(1, ...types.all.map(({ version }) => version))

/**
 * The data of an event in the highest version of its type up to `pinned`, or in the lowest version if all are higher. Data that was
 * published in a version up to `pinned` is returned unchanged.
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
      // Each version takes the data of the next newer one, whatever its type.
      present = { version: former.version, data: former.from(present.data as never) }
    } catch {
      // Data that does not match its schema (EVENT_SCHEMA=lenient) may not be convertible. It is sent in the version that it has.
      break
    }
    if (present.version <= pinned) break
  }
  return present
}
