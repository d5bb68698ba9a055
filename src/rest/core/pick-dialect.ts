/** Assigns a request to a dialect where several share a path. A pure function of path and headers; see decisions.md for the rules. */
import type { IncomingHttpHeaders } from 'node:http'
import { credentialOfHeaders } from '../../platform/credential.ts'
import { areasOf, type Face } from './dialect.ts'

/**
 * Returns the name of the dialect. Null for a path below none of their areas. A path of a single dialect belongs to it. On a shared
 * or unknown path the prefix of the key decides or, without a key of these dialects, the header `X-Org-Slug`.
 */
export function pickDialect(faces: readonly Face[], url: string, headers: IncomingHttpHeaders): string | null {
  const path = pathOf(url)
  // Most requests of the other doors, which pass here too.
  if (!faces.some((face) => areasOf(face).some((area) => isBelow(path, area)))) return null
  const below = faces.flatMap((face) => areasOf(face).flatMap((area) => (isBelow(path, area) ? { face, area } : [])))
  const longest = Math.max(...below.map(({ area }) => area.length))
  const nearest = below.filter(({ area }) => area.length === longest)
  if (nearest.every(({ face }) => face === nearest[0]!.face)) return nearest[0]!.face.name
  const owners = nearest.filter(({ face }) => isOneOf(face.paths, face.prefixes, path))
  const candidates = (owners.length > 0 ? owners : nearest).map(({ face }) => face)
  if (candidates.length < 2) return candidates[0]!.name

  const credential = credentialOfHeaders(headers)
  const byKey = candidates.find(({ keyPrefix }) => credential?.text.startsWith(keyPrefix))
  if (byKey) return byKey.name
  const asksForOrganization = headers['x-org-slug'] !== undefined
  return (candidates.find(({ organizationHeader }) => organizationHeader === asksForOrganization) ?? candidates[0]!).name
}

/** The path of a URL without query and trailing slash, which select the same route. */
export const pathOf = (url: string): string => {
  const end = url.search(/[?#]/)
  const path = end < 0 ? url : url.slice(0, end)
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
}

export const isBelow = (path: string, prefix: string): boolean =>
  path.startsWith(prefix) && (path.length === prefix.length || path[prefix.length] === '/')

/** Whether a path matches one of the patterns, with parameters in braces, below one of the prefixes. */
export const isOneOf = (patterns: readonly string[], prefixes: readonly string[], path: string): boolean =>
  prefixes
    .filter((prefix) => isBelow(path, prefix))
    .some((prefix) => patterns.some((pattern) => matches(pattern, path.slice(prefix.length))))

function matches(pattern: string, path: string): boolean {
  const [wanted, given] = [pattern.split('/'), path.split('/')]
  return (
    wanted.length === given.length && wanted.every((part, index) => part === given[index] || (part.startsWith('{') && given[index] !== ''))
  )
}
