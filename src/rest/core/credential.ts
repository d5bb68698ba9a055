/** Where a credential stands in a request. What it is worth is the dialect's to say. */
import type { IncomingHttpHeaders } from 'node:http'

/** Authorization wins over X-API-Key, also when it is the bad one. */
export function credentialOf(headers: IncomingHttpHeaders): string | null {
  if (headers.authorization !== undefined) return /^Bearer +(\S+) *$/i.exec(headers.authorization)?.[1] ?? null
  const key = headers['x-api-key']
  return typeof key === 'string' && key !== '' ? key : null
}
