/** What the deliveries that a worker has not claimed wait for. */
import { type Claims, voidLeases } from '../../../platform/claim.ts'
import { isNamedAlive } from '../../../platform/process-name.ts'
import type { App } from '../../../platform/work.ts'
import { freedAt, type Lane, openAt, rateUsedAfter } from './model.ts'

/** A lane after a claim. `isContended`: fewer deliveries were claimed than were due, as others claimed or locked the rest. */
export type LeftLane = { lane: Lane; isContended: boolean }

/** The lane after a claim of up to `quota` deliveries that got `taken`. */
export function laneAfter(lane: Lane, { quota, taken }: { quota: number; taken: number }): LeftLane {
  const isContended = taken < quota
  return {
    lane: {
      ...lane,
      nextAt: isContended ? lane.laterAt : lane.nextAt,
      rateUsedUntil: rateUsedAfter(lane, taken),
      inFlight: lane.inFlight + taken,
      ownInFlight: lane.ownInFlight + taken,
    },
    isContended,
  }
}

/** How often a worker checks whether another process on this machine that blocks an endpoint is alive. */
const checkAgainMs = 500
/** When a worker looks again for deliveries that others held during its claim. Usually they have claimed them. */
const contendedMs = 250

/** Voids the claims of workers that are known to have exited and block a lane; their deliveries can then be claimed at once. */
export async function outlookOf(app: App, left: readonly LeftLane[]): Promise<Omit<Claims<never>, 'items'>> {
  let waitsForOwn = false
  const times: number[] = []
  const holders = new Set<string>()
  for (const { lane, isContended } of left) {
    const opens = openAt(lane)
    if (opens !== null && opens > lane.now) times.push(opens.getTime() - lane.now.getTime())
    // An open lane waits for a slot, a full one for the end of a request.
    else if (opens !== null || (lane.nextAt !== null && lane.ownInFlight > 0)) waitsForOwn = true
    const freed = freedAt(lane)
    if (freed) times.push(freed.getTime() - lane.now.getTime())
    if (freed) for (const name of lane.others ?? []) holders.add(name)
    if (isContended) times.push(contendedMs)
  }
  if (holders.size > 0) {
    const states = [...holders].map((name) => ({ name, alive: isNamedAlive(name) }))
    const gone = states.flatMap(({ name, alive }) => (alive === false ? [name] : []))
    if (gone.length > 0) {
      await voidLeases(app.db, 'webhook_delivery', gone)
      return { dueInMs: 0, waitsForOwn }
    }
    if (states.some(({ alive }) => alive)) times.push(checkAgainMs)
  }
  return { dueInMs: times.length === 0 ? null : Math.max(0, Math.min(...times)), waitsForOwn }
}
