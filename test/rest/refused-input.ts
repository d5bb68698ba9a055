/** Input that rows refuse, and words that an error message must not contain. */
import { z } from 'zod'
import { concepts } from '../../src/domain/index.ts'
import type { Dialect } from '../../src/rest/core/index.ts'
import { type Sources, sourceOf } from '../../src/rest/core/route.ts'

/** Up to the longest query string. */
const texts = ['', '-x', 'a\nb', 'x'.repeat(9_000)]
const values = [...texts, 'x'.repeat(70_000), '\ud800', '********', null, 5, -1, 1.5, true, [], {}, [5]]
export const junk = { texts, values }

/** Inputs in which one field, or one of a list's item, is junk; a field of words is also given ours. */
export function nearly<Value>(sources: Sources = {}, bad: readonly Value[]): Record<string, Value>[] {
  return Object.entries(sources).flatMap(([name, source]) => {
    const { items, words } = sourceOf(source)
    const wrong = words ? ['none of the words', ...Object.keys(words)] : []
    const lists = items ? nearly(items, bad).map((item) => [{ key: 'A', value: 'b', ...item }]) : []
    return [...bad, ...([...wrong, ...lists] as Value[])].map((value) => ({ [name]: value }))
  })
}

/** Bodies that write the mask of a secret value back: in each field of values, also in a list's items. */
export function maskedBodies(sources: Sources = {}): Record<string, unknown>[] {
  const given = { key: 'MASKED', value: '********' }
  return Object.entries(sources).flatMap(([name, source]): Record<string, unknown>[] => {
    const { to, items = {} } = sourceOf(source)
    if (to === 'value') return [{ ...given, [name]: given.value }]
    return Object.values(items).some((item) => sourceOf(item).to === 'value') ? [{ name: 'Masked', [name]: [given] }] : []
  })
}

type Words = {
  /** Names of input fields, and values, that the dialect does not have. */
  ours: ReadonlySet<string>
  /** Paths of the dialect's own fields. */
  fields: ReadonlySet<string>
}

export function words(dialect: Dialect): Words {
  const told = dialect.routes.flatMap(({ params, query, body, page }) =>
    [params, query, body, page && dialect.page(page.size)].flatMap((sources) => listed(sources ?? {})),
  )
  const fields = new Set([...told.map(({ path }) => path), ...dialect.idempotencyHeaders.map((name) => name.toLowerCase()), 'if-match'])
  const theirs = new Set(told.flatMap(({ name, words }) => [name, ...Object.values(words)]))
  const shapes = concepts
    .flatMap(({ commands }) => commands)
    .flatMap(({ input }) => (input instanceof z.ZodObject ? Object.keys(input.shape) : []))
  const names = [...shapes, ...told.map(({ to }) => to)].filter((name) => /[a-z][A-Z]/.test(name) || name === 'slug' || name === 'alias')
  const values = told.flatMap(({ words }) => Object.keys(words))
  return { ours: new Set([...names, ...values].filter((word) => !theirs.has(word))), fields }
}

function listed(sources: Sources, place = ''): { path: string; name: string; to: string; words: Readonly<Record<string, string>> }[] {
  return Object.entries(sources).flatMap(([name, source]) => {
    const { to, words = {}, items = {} } = sourceOf(source)
    return [{ path: place + name, name, to, words }, ...listed(items, `${place}${name}.`)]
  })
}
