/**
 * ETags of versioned objects: the version of the row, and a digest of the body, which also changes with what has no version, such as the
 * status of a service. `If-None-Match` compares all of it; `If-Match`, which protects the row, its version only.
 */
import { hash } from 'node:crypto'
import { errors } from '../../platform/errors.ts'
import { ifMatch } from './vocabulary.ts'

export const etagOf = (version: number, body: string): string => `"${version}-${hash('sha256', body, 'base64url').slice(0, 16)}"`

/** Whether a client has what a tag stands for (RFC 9110, section 13.1.2: weak comparison). A header that is not valid is ignored. */
export function isFresh(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  if (ifNoneMatch.trim() === '*') return true
  return tagsOf(ifNoneMatch)?.some((tag) => `"${tag}"` === etag) ?? false
}

/** The versions that `If-Match` admits. Null for all. Throws `invalid_input` for anything but ETags of this server. */
export function versionsOf(header: string | undefined): number[] | null {
  if (header === undefined || header.trim() === '*') return null
  const versions = tagsOf(header)?.map((tag) => /^(\d{1,9})(?:-[\w-]+)?$/.exec(tag)?.[1])
  if (!versions?.every((version) => version !== undefined)) {
    throw errors.invalid_input({ field: ifMatch, text: `${ifMatch}: must be the ETag of an earlier answer, a list of them, or *` })
  }
  return versions.map(Number)
}

/** A tag of a list, weak or not, with what follows it. Quotes may be omitted around a number. */
const listed = /\s*(?:(?:W\/)?"([!#-~\u0080-\u00ff]*)"|(\d+))\s*(,|$)/y

/** The tags of a list, without quotes. Null if it is none. */
function tagsOf(list: string): string[] | null {
  const tags: string[] = []
  const pattern = new RegExp(listed)
  while (pattern.lastIndex < list.length) {
    const found = pattern.exec(list)
    if (!found) return null
    tags.push(found[1] ?? found[2]!)
    if (found[3] === '') return tags
  }
  return null
}
