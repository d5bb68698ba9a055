/** Translates the fields and values in the domain's errors to the names and words of a dialect. */
import type { Dialect } from './dialect.ts'
import { type Route, type Sources, sourceOf, type Words } from './route.ts'

export type Vocabulary = {
  /** Path in the input -> the dialect's names of its last part, of which the last one sent is meant. `*` matches any index of a list. */
  names: ReadonlyMap<string, readonly string[]>
  /** The domain's words in a text -> the dialect's words. */
  words: ReadonlyMap<string, string>
}

export const noVocabulary: Vocabulary = { names: new Map(), words: new Map() }

/** The vocabulary of each row: the words of its own fields, and the names that any row of the dialect has for a field. */
export function vocabularies(dialect: Dialect): (route: Route) => Vocabulary {
  const fieldNames = dialect.routes.flatMap((route) => fieldsOf(dialect, route)).map(({ to, name }) => [to, name] as const)
  // A field with a plain word as its name, such as `name`, is left out: the word also occurs in ordinary sentences.
  const knownNames = fieldNames.filter(([to]) => /[A-Z]/.test(to))
  return (route) => {
    const fields = fieldsOf(dialect, route)
    const words = fields.flatMap((field) => Object.entries(field.words))
    return {
      names: new Map([...Map.groupBy(fields, ({ path }) => path)].map(([path, same]) => [path, same.map(({ name }) => name)])),
      words: new Map([...knownNames, ...words, ...Object.entries(route.words ?? {})]),
    }
  }
}

type Field = { path: string; to: string; name: string; words: Words }

function fieldsOf(dialect: Dialect, route: Route): Field[] {
  const { params, query, body, page, within, writes } = route
  const named = Object.fromEntries(Object.entries(route.headerFields ?? {}).map(([name, source]) => [headerName(name), source]))
  const sources = [within?.params, params, page && dialect.page(page.size), query, body, named, writes ? headers(dialect) : undefined]
  return sources.flatMap((each) => listed(each ?? {}))
}

const listed = (sources: Sources, place = ''): Field[] =>
  Object.entries(sources).flatMap(([name, source]) => {
    const { to, words = {}, items = {} } = sourceOf(source)
    return [{ path: place + to, to, name, words }, ...listed(items, `${place}${to}.*.`)]
  })

const headers = ({ idempotencyHeaders }: Dialect): Sources => ({
  ...Object.fromEntries(idempotencyHeaders.slice(0, 1).map((name) => [headerName(name), 'idempotencyKey'])),
  [ifMatch]: 'ifVersion',
})

export const ifMatch = 'If-Match'
export const ifNoneMatch = 'If-None-Match'

/** A header's name with capitals, as in documents. */
export const headerName = (name: string): string => name.replaceAll(/(?<=^|-)[a-z]/g, (letter) => letter.toUpperCase())

/** The vocabulary for a request: of several names for a field, it has only those to which the body gives a value, if there are any. */
export function vocabularyOf({ names, words }: Vocabulary, body: unknown): Vocabulary {
  if (typeof body !== 'object' || body === null) return { names, words }
  const values = new Map(Object.entries(body))
  const sent = (all: readonly string[]) => all.filter((name) => (values.get(name) ?? null) !== null)
  return { names: new Map([...names].map(([path, all]) => [path, all.length > 1 && sent(all).length > 0 ? sent(all) : all])), words }
}

/** The text and the field of an error in the dialect's words. */
export function localize(
  text: string,
  field: string | undefined,
  { names, words }: Vocabulary,
): { text: string; field: string | undefined } {
  if (field === undefined) return { text: reworded(text, words), field }
  const named = renamed(field, names)
  const [ours, theirs] = [field, named].map((path) => path.split('.').at(-1)!)
  const own = new Map([...words, [ours!, theirs!]])
  const prefix = `${field}: `
  return { text: text.startsWith(prefix) ? `${named}: ${reworded(text.slice(prefix.length), own)}` : reworded(text, own), field: named }
}

const reworded = (text: string, words: ReadonlyMap<string, string>): string => text.replaceAll(/\w+/g, (word) => words.get(word) ?? word)

function renamed(field: string, names: Vocabulary['names']): string {
  const parts = field.split('.')
  const pathTo = (index: number) =>
    parts
      .slice(0, index + 1)
      .map((part) => (/^\d+$/.test(part) ? '*' : part))
      .join('.')
  return parts.map((part, index) => names.get(pathTo(index))?.at(-1) ?? part).join('.')
}
