/**
 * Failures that are nobody's mistake: the database can't be reached or can't take work, or a disk is full. They pass by themselves or by
 * an operator's hand, so they are told apart from all others, told to callers as `unavailable`, and waited out by loops.
 */
import { Prisma } from '../../generated/prisma/client.ts'

export type OutageKind = 'database' | 'disk'

/** What the pool and the session throw for an outage, whatever the driver called it. Passes through Prisma as it is. */
export class DatabaseOutage extends Error {
  override readonly name = 'DatabaseOutage'
  readonly kind: OutageKind
  /** Nothing came, not even a refusal. */
  readonly isSilence: boolean

  constructor(reason: string, options: { kind?: OutageKind; isSilence?: boolean; cause?: unknown } = {}) {
    super(reason, options.cause === undefined ? undefined : { cause: options.cause })
    this.kind = options.kind ?? 'database'
    this.isSilence = options.isSilence ?? false
  }
}

/** The outage behind an error of any origin, or null. */
export function outageOf(error: unknown): OutageKind | null {
  if (error instanceof DatabaseOutage) return error.kind
  if (!(error instanceof Error)) return null
  if (error instanceof Prisma.PrismaClientKnownRequestError && isPrismaOutage(error)) return 'database'
  const code = (error as NodeJS.ErrnoException).code
  return code === 'ENOSPC' || code === 'EDQUOT' ? 'disk' : null
}

/** P2028 is also a transaction that took too long, which is its own fault. */
const isPrismaOutage = ({ code, message }: Prisma.PrismaClientKnownRequestError) =>
  ['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2037'].includes(code) || (code === 'P2028' && message.includes('Unable to start'))

/** An error of a statement as an outage, where it is one; else as it is. */
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

/** Whatever keeps a connection from being made is an outage: a refusal, a wrong password, no database of that name. */
export function connectionOutage(error: unknown): DatabaseOutage {
  if (error instanceof DatabaseOutage) return error
  const { code, message } = reasonOf(error)
  const isSilence = code === 'ETIMEDOUT' || /timeout/.test(message)
  return new DatabaseOutage(isSilence ? 'no answer in time' : message || String(code), { isSilence, cause: error })
}

/** A host with several addresses fails with all of their errors, and without a message. */
function reasonOf(error: unknown): { code: unknown; message: string } {
  const first = error instanceof AggregateError && error.message === '' ? error.errors[0] : error
  return first instanceof Error
    ? { code: (first as NodeJS.ErrnoException).code, message: first.message }
    : { code: undefined, message: String(first) }
}

/**
 * SQLSTATEs of a server that can't go on, whatever it was asked: lost connections, exhausted resources, shutdown, recovery, sessions that it
 * ended for idling, and a standby that takes no writes.
 */
function kindOfState(state: string): OutageKind | null {
  if (state === '53100' || state === '58030') return 'disk'
  const isOutage = /^(08|53)/.test(state) || ['57P01', '57P02', '57P03', '57P05', '25P03', '25006'].includes(state)
  return isOutage ? 'database' : null
}
