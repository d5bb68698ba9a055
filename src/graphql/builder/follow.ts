/** Subscriptions to one row. */
import { throughOutages } from '../../platform/outage.ts'
import type { GraphqlContext } from './context.ts'

export type Followed<Row> = {
  /** Wake-up topic of the row's changes. Polling covers lost wake-ups. */
  topic: string
  read: () => Promise<Row | null | undefined>
  /** Differs between any two states that are sent one after the other. */
  stateOf: (row: Row) => string | number
  /** Whether no other state follows. */
  isLast?: (row: Row) => boolean
}

const pollMs = 2_000

/** The current state of a row, then its state after each change. Ends when the row is gone, or with its last state. */
export async function* followRow<Row>({ app, signal }: GraphqlContext, followed: Followed<Row>): AsyncGenerator<Row, void, void> {
  let seen: string | number | undefined
  while (!signal.aborted) {
    const changed = app.wake.next(followed.topic, pollMs, signal)
    const row = await throughOutages(app, followed.read, signal)
    if (!row || signal.aborted) return
    const state = followed.stateOf(row)
    if (state !== seen) yield row
    seen = state
    if (followed.isLast?.(row)) return
    await changed
  }
}
