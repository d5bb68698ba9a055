/** Turns of calls: a limited number of calls of an account at a time, the others in the order of their arrival. Each process counts for itself. */
import { errors } from '../../../platform/errors.ts'
import { perApp } from '../../../platform/per-app.ts'
import type { App } from '../../../platform/work.ts'

/** Calls of one account that wait. Further ones are refused at once. */
const maxWaiting = 100

type Waiting = { enter(): void }
type Line = { active: number; waiting: Set<Waiting> }

const linesOf = perApp(() => new Map<string, Line>())

/**
 * Waits for the turn of a call, and returns a function that ends it. Throws `rate_limited` if too many others wait or if the turn does not come
 * in time.
 */
export async function takeTurn(app: App, accountId: string, waitMs: number): Promise<() => void> {
  const lines = linesOf(app)
  const line = lines.get(accountId) ?? { active: 0, waiting: new Set<Waiting>() }
  lines.set(accountId, line)
  const most = app.settings.ODOO_CONCURRENCY
  const leave = () => {
    const [next] = line.waiting
    if (next) return next.enter()
    line.active--
    if (line.active === 0) lines.delete(accountId)
  }
  if (line.active < most) {
    line.active++
    return leave
  }
  if (line.waiting.size >= maxWaiting) throw tooMany(most)
  await new Promise<void>((resolve, reject) => {
    const place: Waiting = {
      enter() {
        clearTimeout(timer)
        line.waiting.delete(place)
        resolve()
      },
    }
    const timer = setTimeout(() => {
      line.waiting.delete(place)
      reject(tooMany(most))
    }, waitMs)
    line.waiting.add(place)
  })
  return leave
}

/** Calls of an account that wait for their turn now. */
export const waitingCalls = (app: App, accountId: string): number => linesOf(app).get(accountId)?.waiting.size ?? 0

const tooMany = (most: number) =>
  errors.rate_limited({
    text: `At most ${most} calls of an Odoo account are made at a time, and too many others are waiting. Retry in 1 s.`,
    details: { limit: 'callsAtATime', maximum: most, retryAfterSeconds: 1 },
  })
