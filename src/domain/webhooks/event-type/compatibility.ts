/**
 * Whether event types are still what receivers were told: the baseline is what has been published, each version's schema. A field may
 * be added; removing or narrowing one needs a new version, with the old one kept as `former`. Pure.
 */
import type { CatalogueEntry } from './print.ts'

type JsonSchema = Record<string, unknown>

/** Schemas by type and version. */
export type Baseline = Record<string, Record<string, JsonSchema>>

/** One line for each broken promise; none: compatible. */
export function findBreaks(baseline: Baseline, entries: readonly CatalogueEntry[]): string[] {
  return Object.entries(baseline).flatMap(([type, versions]) =>
    Object.entries(versions).flatMap(([version, promised]) => {
      const present = entries.find((entry) => entry.type === type && entry.version === Number(version))
      if (!present) return [`${type} v${version} is gone: keep it as a former version`]
      return breaksOf(promised, present.schema, 'data').map(
        (text) => `${type} v${version}: ${text}; raise its version and keep this one as a former one`,
      )
    }),
  )
}

/** The baseline with what is new: types, versions and added fields. Throws an Error that names what breaks a promise. */
export function extendBaseline(baseline: Baseline, entries: readonly CatalogueEntry[]): Baseline {
  const breaks = findBreaks(baseline, entries)
  if (breaks.length > 0) {
    throw new Error(
      `Event types break what src/consumer/baseline.json says was published (what has never landed may be taken out there by hand):\n${breaks.join('\n')}`,
    )
  }
  const extended: Baseline = {}
  for (const { type, version, schema } of entries) extended[type] = { ...extended[type], [version]: schema }
  return extended
}

/**
 * How values of `now` break what a reader of `before` relies on: a field that is gone or may be gone, a value of a kind it was not told of.
 * More constraint on what is sent hurts no reader.
 */
function breaksOf(before: JsonSchema, now: JsonSchema, at: string): string[] {
  const told = kindsOf(before)
  // One more word of a list that had words only is an addition.
  const isWord = ({ name }: Kind) => name.startsWith('"')
  const hadWords = told.some(isWord)
  const strange = kindsOf(now).filter((kind) => !told.some((other) => other.name === kind.name) && !(hadWords && isWord(kind)))
  if (strange.length > 0) return [`${at} may now be ${strange.map(({ name }) => name).join(' or ')}`]
  const lost = told.filter((kind) => !kindsOf(now).some((other) => other.name === kind.name))
  if (lost.length > 0) return [`${at} can no longer be ${lost.map(({ name }) => name).join(' or ')}`]
  return told.flatMap((kind) => {
    const other = kindsOf(now).find(({ name }) => name === kind.name)!
    if (kind.name === 'object') return fieldBreaks(kind.schema, other.schema, at)
    if (kind.name === 'array') return breaksOf(itemsOf(kind.schema), itemsOf(other.schema), `${at}[]`)
    return []
  })
}

function fieldBreaks(before: JsonSchema, now: JsonSchema, at: string): string[] {
  const [formerly, presently] = [propertiesOf(before), propertiesOf(now)]
  const required = new Set((now.required ?? []) as string[])
  return Object.entries(formerly).flatMap(([name, schema]) => {
    const field = presently[name]
    if (!field) return [`${at}.${name} is gone`]
    const optional = ((before.required ?? []) as string[]).includes(name) && !required.has(name)
    return [...(optional ? [`${at}.${name} may now be missing`] : []), ...breaksOf(schema, field, `${at}.${name}`)]
  })
}

const propertiesOf = (schema: JsonSchema) => (schema.properties ?? {}) as Record<string, JsonSchema>
const itemsOf = (schema: JsonSchema) => (schema.items ?? {}) as JsonSchema

type Kind = { name: string; schema: JsonSchema }

/** The sorts of values that a schema lets through: `string`, `"literal"`, `object`, … */
function kindsOf(schema: JsonSchema): Kind[] {
  const alternatives = (schema.anyOf ?? schema.oneOf) as JsonSchema[] | undefined
  if (alternatives) return alternatives.flatMap(kindsOf)
  if (Array.isArray(schema.type)) return schema.type.flatMap((type: string) => kindsOf({ ...schema, type }))
  if ('const' in schema) return [{ name: JSON.stringify(schema.const), schema }]
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => ({ name: JSON.stringify(value), schema }))
  return [{ name: typeof schema.type === 'string' ? schema.type : 'anything', schema }]
}
