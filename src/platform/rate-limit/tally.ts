/** What each principal has used of one limit, as far as this process knows. Nothing here waits for the database; settle.ts shares the points. */
import { type Count, newCount, type Refill } from './refill.ts'

export type Entry = Count & { readonly tally: Tally; readonly principal: string }

export type Tally = {
  readonly name: string
  readonly limit: number
  readonly refill: Refill
  /** Takes the points. Returns 0, or the time to wait in seconds, at least 1, if there are too few; nothing is taken then. */
  spend(principal: string, points: number): number
  /** The same, without taking them. */
  wait(principal: string, points: number): number
  /** Points available, and seconds until all are. */
  standing(principal: string): { remaining: number; resetSeconds: number }
  /** Number of principals in memory. */
  size(): number
}

export type TallyOptions = {
  name: string
  limit: number
  refill: Refill
  /** Called when an entry gets its first unsettled points, and with `soon` when it has many of them. */
  onUnsettled(entry: Entry, soon: boolean): void
  /** Called when an entry is no longer in memory. */
  onEvicted(entry: Entry): void
}

/** Share of a limit that one process may use before it tells the others at once. */
const soonShare = 0.1
export const maxPrincipals = 10_000
/** Entries that are compared to find the one to evict. */
const candidates = 16

export function createTally({ name, limit, refill, onUnsettled, onEvicted }: TallyOptions): Tally {
  const entries = new Map<string, Entry>()

  const entryOf = (principal: string): Entry => {
    const entry = entries.get(principal) ?? add(principal)
    refill.renew(entry)
    return entry
  }
  const add = (principal: string): Entry => {
    if (entries.size >= maxPrincipals) evict()
    const entry: Entry = { tally, principal, ...newCount() }
    entries.set(principal, entry)
    return entry
  }
  /**
   * Of the entries that have not been compared for longest, evicts the one that has used least: an idle one, if there is any. A principal that
   * is cut off can therefore not be made to be forgotten by many others.
   */
  const evict = () => {
    let least: Entry | undefined
    for (const entry of [...first(entries.values(), candidates)]) {
      refill.renew(entry)
      if (!least || entry.used < least.used) least = entry
      entries.delete(entry.principal)
      entries.set(entry.principal, entry)
    }
    entries.delete(least!.principal)
    onEvicted(least!)
  }
  const take = (entry: Entry, points: number) => {
    entry.used += points
    const settled = entry.unsettled === 0
    entry.unsettled += points
    const soon = entry.unsettled > limit * soonShare
    if (settled || soon) onUnsettled(entry, soon)
  }
  /** An operation that costs more than the whole limit is admitted when nothing else was used. */
  const waitOf = (entry: Entry, points: number): number => {
    const missing = entry.used + Math.min(points, limit) - limit
    return missing > 0 && points > 0 ? seconds(refill.waitMs(entry, missing)) : 0
  }

  const tally: Tally = {
    name,
    limit,
    refill,
    spend(principal, points) {
      const entry = entryOf(principal)
      const wait = waitOf(entry, points)
      if (wait === 0 && points > 0) take(entry, points)
      return wait
    },
    wait: (principal, points) => (entries.has(principal) ? waitOf(entryOf(principal), points) : 0),
    standing(principal) {
      const entry = entryOf(principal)
      const remaining = Math.max(0, Math.floor(limit - entry.used))
      return { remaining, resetSeconds: Math.max(0, Math.ceil(refill.waitMs(entry, entry.used) / 1_000)) }
    },
    size: () => entries.size,
  }
  return tally
}

const seconds = (ms: number): number => Math.max(1, Math.ceil(ms / 1_000))

function* first<Item>(items: Iterable<Item>, count: number): Iterable<Item> {
  let left = count
  for (const item of items) {
    if (left-- === 0) return
    yield item
  }
}
