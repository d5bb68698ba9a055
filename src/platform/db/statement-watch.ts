/**
 * Finds statements that will never be answered: nothing came for a while, and the database, asked by the session of its own, doesn't
 * answer either, or knows nothing of that statement: its backend waits for us, or is gone. A statement that is slow or waits for a lock
 * is at work there, and is left alone.
 */
import type pg from 'pg'
import { DatabaseOutage } from './outage.ts'
import type { Session } from './session.ts'

export type StatementWatch = {
  /** Call what it returns when the statement has ended. */
  begin(client: pg.Client): () => void
  close(): void
}

type Statement = { since: number; suspected: boolean }

const lookEveryMs = 500
const quietMs = 1_500
/** Also one at work ends some time: its backend may be stopped. */
const mostMs = 120_000

export function watchStatements(session: Session, { onDead }: { onDead: () => void }): StatementWatch {
  /** One at a time a connection: what is queued behind it counts from when that began. */
  const running = new Map<pg.Client, Statement & { count: number }>()
  let looking = false

  const giveUp = (client: pg.Client, reason: string) => {
    running.delete(client)
    // The error reaches the statement by the connection's end.
    client.connection.stream.destroy(new DatabaseOutage(reason, { isSilence: true }))
    onDead()
  }

  const look = async () => {
    const now = performance.now()
    const quiet = [...running].filter(([, { since }]) => now - since > quietMs)
    const isSame = ([client, { since }]: (typeof quiet)[number]) => running.get(client)?.since === since
    if (session.outage()?.isSilence) {
      for (const [client] of quiet) giveUp(client, 'no answer in time')
      return
    }
    for (const [client, { since }] of quiet) if (now - since > mostMs) giveUp(client, 'no answer in time')
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
      // Twice, as an answer may be on its way.
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

/** What the backends do, by number; null when it can't be known now: the session finds out by itself. */
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
