/**
 * Shares the points of all limits with the other processes: one statement adds those of this process to the table and returns the sums. It
 * is sent a second after points were used, or 50 ms after a principal has used a tenth of its limit; without points there is neither a
 * statement nor a timer. While the database is away, each process counts for itself.
 */
import { createBackoff, rows, sql } from '../db/index.ts'
import { createFailureLog } from '../failure-log.ts'
import type { App } from '../work.ts'
import type { SharedClock } from './shared-clock.ts'
import { type Entry, maxPrincipals } from './tally.ts'

export type Settlement = {
  /** The entry has points that are not in the database. `soon`: many of them. */
  add(entry: Entry, soon: boolean): void
  /** The entry is no longer in memory. Its points are settled if there is room for them. */
  drop(entry: Entry): void
  /** Settles now, or when the present settlement has ended. Never rejects. */
  settle(): Promise<void>
  /** Stops the timer, and waits for the present settlement. Points that are added afterwards start it again. */
  stop(): Promise<void>
}

const everyMs = 1_000
const soonMs = 50
const maxBackoffMs = 10_000
/** Evicted entries that are kept until they are settled. */
const maxDropped = maxPrincipals

export function createSettlement(app: App, clock: SharedClock): Settlement {
  const unsettled = new Set<Entry>()
  const dropped = new Set<Entry>()
  const backoff = createBackoff(maxBackoffMs)
  const log = createFailureLog(
    app,
    {
      failed: 'rate limits cannot be shared with other processes; this process counts for itself',
      recovered: 'rate limits are shared with other processes again',
    },
    'warn',
  )
  let timer: NodeJS.Timeout | null = null
  let hurried = false
  let failing = false
  let present: Promise<void> | null = null

  const wait = (ms: number) => {
    if (timer) clearTimeout(timer)
    timer = setTimeout(() => void settle(), ms)
    timer.unref()
  }

  const settle = (): Promise<void> => {
    if (present) return present.then(settle)
    if (timer) clearTimeout(timer)
    timer = null
    hurried = false
    present = send(take()).finally(() => {
      present = null
      if (unsettled.size > 0) wait(failing ? everyMs + backoff.next() : hurried ? soonMs : everyMs)
    })
    return present
  }

  /** Removes what is to be sent from the entries. */
  const take = (): Sent[] => {
    const sent: Sent[] = []
    for (const entry of unsettled) {
      entry.tally.refill.renew(entry)
      if (entry.unsettled !== 0) sent.push({ entry, points: entry.unsettled })
      entry.unsettled = 0
    }
    unsettled.clear()
    return sent
  }

  const send = async (sent: readonly Sent[]): Promise<void> => {
    if (sent.length === 0) return
    const sentAt = app.clock.elapsedMs()
    try {
      const sums = await addToSums(app, sent)
      const answeredAt = app.clock.elapsedMs()
      failing = false
      backoff.reset()
      log.succeeded()
      if (sums[0]) clock.observe(sums[0].nowMs, sentAt, answeredAt)
      learn(sent, sums)
    } catch (error) {
      failing = true
      log.failed(error)
      // If the statement was committed and its answer lost, these points count twice.
      for (const { entry, points } of sent) if (!dropped.has(entry)) restore(entry, points)
    }
    for (const { entry } of sent) dropped.delete(entry)
  }

  const restore = (entry: Entry, points: number) => {
    entry.tally.refill.renew(entry)
    entry.unsettled = Math.min(entry.unsettled + points, entry.used)
    if (entry.unsettled !== 0) unsettled.add(entry)
  }

  return {
    add(entry, soon) {
      unsettled.add(entry)
      const hurries = soon && !hurried
      hurried ||= soon
      if (!present && (!timer || (hurries && !failing))) wait(hurried ? soonMs : everyMs)
    },
    drop(entry) {
      if (!unsettled.has(entry)) return
      if (dropped.size < maxDropped) dropped.add(entry)
      else unsettled.delete(entry)
    },
    settle,
    async stop() {
      await present
      if (timer) clearTimeout(timer)
      timer = null
    },
  }
}

type Sent = { entry: Entry; points: number }
type Sum = { policy: string; principal: string; points: number; sinceMs: number; nowMs: number }

/** By rows in one order, so that processes don't wait for each other in a circle. */
function addToSums(app: App, sent: readonly Sent[]): Promise<Sum[]> {
  const policies = sent.map(({ entry }) => entry.tally.name)
  const principals = sent.map(({ entry }) => entry.principal)
  const points = sent.map((each) => each.points)
  const refills = sent.map(({ entry }) => entry.tally.refill.perMs)
  const isSameMinute = sql`t.since between excluded.since and excluded.since + interval '1 minute'`
  return rows<Sum>(
    app.db,
    sql`insert into rate_limit as t (policy, principal, points, refill, since)
        select policy, principal, sum(points), max(refill), case when max(refill) > 0 then app_now() else date_trunc('minute', app_now()) end
        from unnest(${policies}::text[], ${principals}::text[], ${points}::float8[], ${refills}::float8[]) as s (policy, principal, points, refill)
        group by policy, principal order by policy, principal
        on conflict (policy, principal) do update set
          points = greatest(0, excluded.points + case
            when excluded.refill > 0
              then greatest(0, t.points - excluded.refill * greatest(0, extract(epoch from excluded.since - t.since)::float8 * 1000))
            when ${isSameMinute} then t.points
            else 0 end),
          refill = excluded.refill,
          since = case when excluded.refill = 0 and ${isSameMinute} then t.since else excluded.since end
        returning policy, principal, points, extract(epoch from since)::float8 * 1000 as since_ms,
                  extract(epoch from app_now())::float8 * 1000 as now_ms`,
  )
}

function learn(sent: readonly Sent[], sums: readonly Sum[]): void {
  const byName = new Map(sums.map((sum) => [nameOf(sum.policy, sum.principal), sum]))
  for (const { entry } of sent) {
    const sum = byName.get(nameOf(entry.tally.name, entry.principal))
    entry.tally.refill.renew(entry)
    if (sum) entry.tally.refill.learn(entry, sum.points, sum.sinceMs)
  }
}

const nameOf = (policy: string, principal: string): string => `${policy} ${principal}`
