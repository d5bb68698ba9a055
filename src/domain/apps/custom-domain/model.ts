import { randomBytes } from 'node:crypto'
import type { Settings } from '../../../platform/settings.ts'

/** Of one service. Each host is an entry in the table of every router. */
export const maxDomains = 20

export const newToken = (): string => randomBytes(20).toString('hex')

const minuteMs = 60_000
const hourMs = 60 * minuteMs
/** A domain that is not proven for so long is checked on request only. */
const abandonedAfterMs = 30 * 24 * hourMs

export type CheckState = {
  /** Whether the domain belongs to its service. */
  isHeld: boolean
  /** Whether its last check did not find the proof, or had no result. */
  isFailing: boolean
  /** Since it was added. */
  ageMs: number
}

/** Time until the next automatic check. People wait for a new domain, and less so the older it is. Null: none. */
export function nextCheckMs(
  { DOMAIN_CHECK_MS }: Pick<Settings, 'DOMAIN_CHECK_MS'>,
  { isHeld, isFailing, ageMs }: CheckState,
): number | null {
  if (!isHeld && ageMs > abandonedAfterMs) return null
  const longest = isHeld && !isFailing ? DOMAIN_CHECK_MS : Math.min(DOMAIN_CHECK_MS, isHeld ? hourMs : 24 * hourMs)
  const wait = isHeld ? longest : Math.min(longest, Math.max(minuteMs, ageMs / 5))
  return wait * (0.9 + 0.2 * Math.random())
}
