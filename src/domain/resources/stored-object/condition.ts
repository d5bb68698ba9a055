/** Conditions of requests on the state of an object, by RFC 9110. */
import { ObjectError } from './errors.ts'

/** ETags without quotes, or `*`. */
export type Conditions = {
  ifMatch?: readonly string[]
  ifNoneMatch?: readonly string[]
  ifModifiedSince?: Date
  ifUnmodifiedSince?: Date
}

type State = { etag: string; lastModified: Date }

const precondition = () => new ObjectError('PreconditionFailed', 'At least one of the preconditions of the request is not met.')
const matches = (etags: readonly string[], { etag }: State): boolean => etags.includes('*') || etags.includes(etag)
/** Dates of requests have whole seconds. */
const isNewer = ({ lastModified }: State, date: Date): boolean => Math.floor(lastModified.getTime() / 1_000) * 1_000 > date.getTime()

/** Throws ObjectError `PreconditionFailed`, or `NotModified` for what a client has already. An ETag takes precedence over a date. */
export function requireForReading(conditions: Conditions, state: State): void {
  const { ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince } = conditions
  if (ifMatch ? !matches(ifMatch, state) : ifUnmodifiedSince && isNewer(state, ifUnmodifiedSince)) throw precondition()
  if (ifNoneMatch ? matches(ifNoneMatch, state) : ifModifiedSince && !isNewer(state, ifModifiedSince))
    throw new ObjectError('NotModified', 'The object has not been modified.')
}

/** The same for the source of a copy, which has nothing that is not modified. */
export function requireForCopy(conditions: Conditions, state: State): void {
  try {
    requireForReading(conditions, state)
  } catch {
    throw precondition()
  }
}

/** For a write, which may also require that there is no object. Throws ObjectError `PreconditionFailed` or `NoSuchKey`. */
export function requireForWriting({ ifMatch, ifNoneMatch }: Conditions, state: State | null): void {
  if (ifMatch && !state) throw new ObjectError('NoSuchKey', 'The specified key does not exist.')
  if (ifMatch && state && !matches(ifMatch, state)) throw precondition()
  if (ifNoneMatch && state && matches(ifNoneMatch, state)) throw precondition()
}
