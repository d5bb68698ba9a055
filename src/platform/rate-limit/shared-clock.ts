/**
 * The time of the database, estimated between the answers that state it, so that all processes count by the same minute. Goes on by the
 * monotonic clock while the database is away.
 */
import type { Clock } from '../clock.ts'

export type SharedClock = {
  /** Milliseconds since 1970 by the database's clock. Before the first answer, by the clock of this machine. */
  nowMs(): number
  /** Corrects the estimate by a statement that was sent and answered at these times of `elapsedMs`, and read the database's clock between. */
  observe(databaseMs: number, sentAt: number, answeredAt: number): void
}

export function createSharedClock(app: { clock: Clock }): SharedClock {
  let offset: number | null = null
  const estimate = () => {
    offset ??= app.clock.now().getTime() - app.clock.elapsedMs()
    return offset
  }
  return {
    nowMs: () => app.clock.elapsedMs() + estimate(),
    observe(databaseMs, sentAt, answeredAt) {
      // An estimate that agrees is kept: statements that were delayed would make it vary.
      offset = Math.min(Math.max(estimate(), databaseMs - answeredAt), databaseMs - sentAt)
    },
  }
}
