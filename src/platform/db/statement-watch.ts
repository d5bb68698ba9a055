/**
 * Detects statements that will never be answered: nothing has arrived for a while, and the database, asked over the session's connection,
 * either doesn't answer or reports the backend as idle or gone. A statement that is slow or waits for a lock is active there and is left
 * alone.
 */
import type pg from 'pg'
import { DatabaseOutage } from './outage.ts'
import type { Session } from './session.ts'

export type StatementWatch = {
  /** Returns a function to call when the statement has ended. */
  begin(client: pg.Client): () => void
  close(): void
}

type Statement = { since: number; suspected: boolean }

const lookEveryMs = 500
const quietMs = 1_500
/** An active statement is given up after this time too, since its backend may be suspended. */
const maxMs = 120_000

export function watchStatements(session: Session, { onDead }: { onDead: () => void }): StatementWatch {
  /** A connection runs one statement at a time; the time of a queued one starts when the previous one ends. */
  const running = new Map<pg.Client, Statement & { count: number }>()
  let looking = false

  const giveUp = (client: pg.Client, reason: string) => {
    running.delete(client)
    // Destroying the connection rejects the statement with this error.
    client.connection.stream.destroy(new DatabaseOutage(reason, { isSilence: true }))
    onDead()
  }

  const look = async () => {
    const now = performance.now()
    const quiet = [...running].filter(([, { since }]) => now - since > quietMs)
    const isSame = ([client, { since }]: (typeof quiet)[number]) => running.get(client)?.since === since
    if (session.outage()?.isSilence) {
      for (const [client] of quiet) giveUp(client, 'no response in time')
      return
    }
    for (const [client, { since }] of quiet) if (now - since > maxMs) giveUp(client, 'no response in time')
    if (quiet.length === 0 || !session.knowsBackends()) return
    const states = await askStates(
      session,
      quiet.map(([client]) => numberOf(client)),
    )
    if (!states) return
    for (const entry of quiet) {
      const [client, statement] = entry
      const state = states.get(numberOf(client))
      const isIdle = state === undefined || state?.startsWith('idle') === true
      if (!isSame(entry)) continue
      // Only at the second time, since an answer may be on its way.
      if (isIdle && statement.suspected) giveUp(client, 'the connection is dead')
      else statement.suspected = isIdle
    }
  }

  const timer = setInterval(() => {
    if (looking || running.size === 0) return
    looking = true
    void look().finally(() => {
      looking = false
    })
  }, lookEveryMs)
  timer.unref()

  return {
    begin(client) {
      const present = running.get(client)
      const statement = present ?? { since: performance.now(), suspected: false, count: 0 }
      statement.count++
      running.set(client, statement)
      return () => {
        if (--statement.count > 0) {
          statement.since = performance.now()
          statement.suspected = false
        } else if (running.get(client) === statement) running.delete(client)
      }
    },
    close: () => clearInterval(timer),
  }
}

const numberOf = (client: pg.Client) => (client as pg.Client & { processID: number }).processID

/** The state of each backend by process ID. Null if the query fails: the session then checks its connection itself. */
async function askStates(session: Session, numbers: number[]): Promise<Map<number, string | null> | null> {
  try {
    const rows = await session.ask<{ pid: number; state: string | null }>(
      'select pid, state from pg_stat_activity where pid = any($1::int[])',
      [numbers],
    )
    return new Map(rows.map(({ pid, state }) => [pid, state]))
  } catch {
    return null
  }
}
