/** Cross-origin requests of browsers, by the rules of the bucket. */
import type { IncomingMessage } from 'node:http'
import type { CorsRule } from '../domain/resources/storage/index.ts'

const vary = { vary: 'Origin, Access-Control-Request-Headers, Access-Control-Request-Method' }

/** The headers of the response to a preflight. Null if no rule permits the request. */
export function preflight(rules: readonly CorsRule[], { headers }: IncomingMessage): Record<string, string> | null {
  const method = headers['access-control-request-method'] ?? ''
  const names = listOf(headers['access-control-request-headers'])
  const { origin } = headers
  const rule = origin && rules.find((one) => permits(one, origin, method) && names.every((name) => permitsHeader(one, name)))
  if (!rule) return null
  return {
    ...headersOf(rule, origin),
    ...(names.length > 0 ? { 'access-control-allow-headers': names.join(', ') } : {}),
    ...(rule.maxAgeSeconds === null ? {} : { 'access-control-max-age': String(rule.maxAgeSeconds) }),
  }
}

/** The headers that let a page read the response to its request. None if no rule permits it. */
export function crossOriginHeaders(rules: readonly CorsRule[], { headers, method = 'GET' }: IncomingMessage): Record<string, string> {
  const { origin } = headers
  const rule = origin && rules.find((one) => permits(one, origin, method))
  if (!rule) return rules.length > 0 ? vary : {}
  const exposed = rule.exposeHeaders.join(', ')
  return { ...headersOf(rule, origin), ...(exposed ? { 'access-control-expose-headers': exposed } : {}) }
}

const headersOf = (rule: CorsRule, origin: string): Record<string, string> =>
  rule.allowedOrigins.includes('*')
    ? { 'access-control-allow-origin': '*', 'access-control-allow-methods': rule.allowedMethods.join(', '), ...vary }
    : {
        'access-control-allow-origin': origin,
        'access-control-allow-methods': rule.allowedMethods.join(', '),
        'access-control-allow-credentials': 'true',
        ...vary,
      }

const permits = (rule: CorsRule, origin: string, method: string): boolean =>
  rule.allowedMethods.includes(method) && rule.allowedOrigins.some((pattern) => matches(pattern, origin))

const permitsHeader = (rule: CorsRule, name: string): boolean => rule.allowedHeaders.some((pattern) => matches(pattern.toLowerCase(), name))

const listOf = (text: string | undefined): string[] =>
  (text ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean)

/** A pattern has at most one `*`, which stands for any text. */
function matches(pattern: string, text: string): boolean {
  const at = pattern.indexOf('*')
  if (at < 0) return pattern === text
  const [head, tail] = [pattern.slice(0, at), pattern.slice(at + 1)]
  return text.length >= head.length + tail.length && text.startsWith(head) && text.endsWith(tail)
}
