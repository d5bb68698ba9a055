/**
 * Outages: the database can't be reached or can't accept work, or a disk is full. They are not bugs and end by themselves or by an
 * operator's action, so they are distinguished from other failures, reported to callers as `unavailable`, and retried by loops.
 */

export type OutageKind = 'database' | 'disk'

/** Thrown by the pool and the session for any outage, whatever error the driver reported. */
export class DatabaseOutage extends Error {
  override readonly name = 'DatabaseOutage'
  readonly kind: OutageKind
  /** Whether there was no answer at all, rather than a refusal. */
  readonly isSilence: boolean

  constructor(reason: string, options: { kind?: OutageKind; isSilence?: boolean; cause?: unknown } = {}) {
    super(reason, options.cause === undefined ? undefined : { cause: options.cause })
    this.kind = options.kind ?? 'database'
    this.isSilence = options.isSilence ?? false
  }
}

/** The kind of outage that caused an error of any origin, or null. */
export function outageOf(error: unknown): OutageKind | null {
  if (error instanceof DatabaseOutage) return error.kind
  if (!(error instanceof Error)) return null
  const code = (error as NodeJS.ErrnoException).code
  return code === 'ENOSPC' || code === 'EDQUOT' ? 'disk' : null
}

/** Maps a statement's error to DatabaseOutage if it is one; otherwise returns it unchanged. */
export function namingOutage(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof DatabaseOutage) return error
  const state = (error as { code?: unknown }).code
  if (typeof state === 'string' && /^[0-9A-Z]{5}$/.test(state) && 'severity' in error) {
    const kind = kindOfState(state)
    return kind ? new DatabaseOutage(error.message, { kind, cause: error }) : error
  }
  const isOfConnection =
    typeof state === 'string' || /^Connection terminated|connection error|^Client was closed|timeout expired/.test(error.message)
  return isOfConnection ? connectionOutage(error) : error
}

/** Every failure to connect is an outage, including a refusal, a wrong password or a missing database. */
export function connectionOutage(error: unknown): DatabaseOutage {
  if (error instanceof DatabaseOutage) return error
  const { code, message } = reasonOf(error)
  const isSilence = code === 'ETIMEDOUT' || /timeout/.test(message)
  return new DatabaseOutage(isSilence ? 'no response in time' : message || String(code), { isSilence, cause: error })
}

/** The first error for a host with several addresses, which fails with one error for each and no message itself. */
export function reasonOf(error: unknown): { code: unknown; message: string } {
  const first = error instanceof AggregateError && error.message === '' ? error.errors[0] : error
  return first instanceof Error
    ? { code: (first as NodeJS.ErrnoException).code, message: first.message }
    : { code: undefined, message: String(first) }
}

/**
 * SQLSTATEs of a server that can't accept any work: lost connections, exhausted resources, shutdown, recovery, sessions ended for being
 * idle, and a standby that is read-only.
 */
function kindOfState(state: string): OutageKind | null {
  if (state === '53100' || state === '58030') return 'disk'
  const isOutage = /^(08|53)/.test(state) || ['57P01', '57P02', '57P03', '57P05', '25P03', '25006'].includes(state)
  return isOutage ? 'database' : null
}
