/**
 * Checks event types against the baseline, which holds the published schema of each version. A field may be added; removing or changing
 * one needs a new version, with the old one kept in `former`. Pure.
 */
import type { CatalogueEntry } from './print.ts'

type JsonSchema = Record<string, unknown>

/** Schemas by type and version. */
export type Baseline = Record<string, Record<string, JsonSchema>>

/** Returns one line for each incompatible change. Empty means compatible. */
export function findBreaks(baseline: Baseline, entries: readonly CatalogueEntry[]): string[] {
  return Object.entries(baseline).flatMap(([type, versions]) =>
    Object.entries(versions).flatMap(([version, published]) => {
      const current = entries.find((entry) => entry.type === type && entry.version === Number(version))
      if (!current) return [`${type} v${version} was removed: keep it as a former version`]
      return breaksOf(published, current.schema, 'data').map(
        (text) => `${type} v${version}: ${text}; raise its version and keep this one as a former one`,
      )
    }),
  )
}

/** Adds new types, versions and fields to the baseline. Throws an Error that lists the incompatible changes, if there are any. */
export function extendBaseline(baseline: Baseline, entries: readonly CatalogueEntry[]): Baseline {
  const breaks = findBreaks(baseline, entries)
  if (breaks.length > 0) {
    throw new Error(
      `Event types are incompatible with the published ones in src/consumer/baseline.json. Remove an entry there by hand only if it was never published.\n${breaks.join('\n')}`,
    )
  }
  const extended: Baseline = {}
  for (const { type, version, schema } of entries) extended[type] = { ...extended[type], [version]: schema }
  return extended
}

/**
 * Lists how values of `now` break a reader of `before`: a field is removed or becomes optional, or a value has another kind. Stricter
 * constraints on the values sent do not break a reader.
 */
function breaksOf(before: JsonSchema, now: JsonSchema, at: string): string[] {
  const known = kindsOf(before)
  // A new literal in an enum is an addition.
  const isLiteral = ({ name }: Kind) => name.startsWith('"')
  const hadLiterals = known.some(isLiteral)
  const added = kindsOf(now).filter((kind) => !known.some((other) => other.name === kind.name) && !(hadLiterals && isLiteral(kind)))
  if (added.length > 0) return [`${at} may now be ${added.map(({ name }) => name).join(' or ')}`]
  const removed = known.filter((kind) => !kindsOf(now).some((other) => other.name === kind.name))
  if (removed.length > 0) return [`${at} can no longer be ${removed.map(({ name }) => name).join(' or ')}`]
  return known.flatMap((kind) => {
    const other = kindsOf(now).find(({ name }) => name === kind.name)!
    if (kind.name === 'object') return fieldBreaks(kind.schema, other.schema, at)
    if (kind.name === 'array') return breaksOf(itemsOf(kind.schema), itemsOf(other.schema), `${at}[]`)
    return []
  })
}

function fieldBreaks(before: JsonSchema, now: JsonSchema, at: string): string[] {
  const [fieldsBefore, fieldsNow] = [propertiesOf(before), propertiesOf(now)]
  const required = new Set((now.required ?? []) as string[])
  return Object.entries(fieldsBefore).flatMap(([name, schema]) => {
    const field = fieldsNow[name]
    if (!field) return [`${at}.${name} was removed`]
    const optional = ((before.required ?? []) as string[]).includes(name) && !required.has(name)
    return [...(optional ? [`${at}.${name} may now be missing`] : []), ...breaksOf(schema, field, `${at}.${name}`)]
  })
}

const propertiesOf = (schema: JsonSchema) => (schema.properties ?? {}) as Record<string, JsonSchema>
const itemsOf = (schema: JsonSchema) => (schema.items ?? {}) as JsonSchema

type Kind = { name: string; schema: JsonSchema }

/** Kinds of values that a schema allows: `string`, `"literal"`, `object`, … */
function kindsOf(schema: JsonSchema): Kind[] {
  const alternatives = (schema.anyOf ?? schema.oneOf) as JsonSchema[] | undefined
  if (alternatives) return alternatives.flatMap(kindsOf)
  if (Array.isArray(schema.type)) return schema.type.flatMap((type: string) => kindsOf({ ...schema, type }))
  if ('const' in schema) return [{ name: JSON.stringify(schema.const), schema }]
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => ({ name: JSON.stringify(value), schema }))
  return [{ name: typeof schema.type === 'string' ? schema.type : 'anything', schema }]
}
