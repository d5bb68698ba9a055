/** Which calls there are, and who may make them. Pure. */
import { z } from 'zod'
import type { ApiKeyScope } from '../../../generated/prisma/client.ts'
import { bridgeErrors } from './errors.ts'

export const callFields = {
  model: z
    .string()
    .max(100, { error: 'must be at most 100 characters' })
    .regex(/^[A-Za-z_][\w.]*$/, { error: 'must be the name of a model, such as sale.order' }),
  method: z
    .string()
    .max(100, { error: 'must be at most 100 characters' })
    .regex(/^[A-Za-z_]\w*$/, { error: 'must be the name of a method, such as search_read' }),
  args: z.array(z.unknown(), { error: 'must be a list' }).nullish(),
  kwargs: z.record(z.string(), z.unknown(), { error: 'must be an object' }).nullish(),
}

/** Methods of all models that only read. A call of one of them may be sent again after a fault, and is what keys with the scope READ may do. */
const reads: ReadonlySet<string> = new Set([
  ...['read', 'search', 'search_read', 'search_count', 'search_fetch', 'name_search', 'name_get', 'exists'],
  ...['read_group', 'formatted_read_group', 'fields_get', 'fields_view_get', 'get_views', 'get_view', 'default_get'],
  ...['web_read', 'web_search_read', 'web_read_group', 'get_metadata', 'get_external_id', 'context_get'],
  ...['check_access', 'check_access_rights', 'check_access_rule', 'has_access', 'has_group'],
])

export const isRead = (method: string): boolean => reads.has(method)

/** What a key may call. Empty lists allow all. */
export type Allowance = { allowedModels: readonly string[]; allowedMethods: readonly string[]; scope: ApiKeyScope }

const matches = (pattern: string, name: string): boolean =>
  pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
const isAmong = (patterns: readonly string[], name: string): boolean =>
  patterns.length === 0 || patterns.some((pattern) => matches(pattern, name))

/** Throws `method_not_allowed`. Private methods are never called, by whomever. */
export function demandAllowed({ model, method }: { model: string; method: string }, allowance: Allowance | null): void {
  const refuse = (field: string, text: string) => bridgeErrors.method_not_allowed({ field, text: `${field}: ${text}` })
  if (method.startsWith('_')) throw refuse('method', 'must not begin with _, because such methods are private')
  if (allowance === null) return
  const { allowedModels, allowedMethods, scope } = allowance
  if (!isAmong(allowedModels, model)) throw refuse('model', `${model} is not among the models that the API key may call`)
  if (!isAmong(allowedMethods, method)) throw refuse('method', `${method} is not among the methods that the API key may call`)
  if (scope === 'READ' && !isRead(method)) throw refuse('method', `${method} is not known to only read, and the API key has the scope READ`)
}
