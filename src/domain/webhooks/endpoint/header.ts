/** Additional request headers of an endpoint. Headers that frame, address or sign a request are reserved. Pure. */
import { validateHeaderName, validateHeaderValue } from 'node:http'
import { z } from 'zod'
import { withoutProto } from './proto.ts'

const reserved = new Set([
  'host',
  'content-length',
  'content-type',
  'content-encoding',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'upgrade',
  'expect',
  'te',
  'trailer',
  'proxy-authorization',
  'proxy-connection',
  'user-agent',
])
const reservedPrefixes = ['webhook-', 'svix-']

export const maxHeaders = 20

/** Why a header is not allowed, or null. */
export function problemOfHeader(name: string, value: string): string | null {
  const lower = name.toLowerCase()
  if (reserved.has(lower) || reservedPrefixes.some((prefix) => lower.startsWith(prefix)))
    return `${name} is set by Quayside and cannot be overridden`
  try {
    validateHeaderName(name)
  } catch {
    return 'a header name contains a character that is not allowed'
  }
  try {
    validateHeaderValue(name, value)
  } catch {
    return `${name}: the value contains a character that is not allowed`
  }
  return null
}

export const headersSchema = withoutProto(
  z
    .record(z.string().max(100), z.string().max(2_000, { error: 'must be at most 2000 characters' }), {
      error: 'must be an object whose values are strings',
    })
    .superRefine((headers, context) => {
      const names = Object.keys(headers)
      if (names.length > maxHeaders) context.addIssue({ code: 'custom', message: `must have at most ${maxHeaders} headers` })
      if (new Set(names.map((name) => name.toLowerCase())).size < names.length)
        context.addIssue({ code: 'custom', message: 'the same header is given more than once' })
      for (const [name, value] of Object.entries(headers)) {
        const problem = problemOfHeader(name, value)
        if (problem) context.addIssue({ code: 'custom', message: problem })
      }
    }),
)
