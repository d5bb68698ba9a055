/**
 * A unit of work: one transaction on behalf of one caller, and the wake-ups that follow its commit. Every command and every step of a
 * background job runs in one.
 */
import type { Caller } from './access.ts'
import type { Clock } from './clock.ts'
import type { Domain } from './concept.ts'
import type { Keyring } from './crypto.ts'
import type { Db, Tx } from './db/index.ts'
import type { Wake } from './db/wake.ts'
import type { EventDefinition } from './events.ts'
import type { Logger } from './log.ts'
import type { Settings } from './settings.ts'

/** The services that every process of the control plane has. Built once, in main. */
export type App = {
  db: Db
  wake: Wake
  log: Logger
  keyring: Keyring
  clock: Clock
  /** Some of them change while the program runs (access/setting), so each is read from here whenever it is used. */
  settings: Settings
  /** Everything that the concepts declare. */
  domain: Domain
  /** Name of this process in leases, unique among living processes. */
  processId: string
}

export type Work = {
  app: App
  tx: Tx
  caller: Caller
  requestId: string | null
  /** The event types that this work may publish. */
  emits: readonly EventDefinition[]
  /** Wakes topics after the commit; does nothing if the transaction rolls back. */
  wake(...topics: string[]): void
}

type WorkOptions = { requestId?: string; emits?: readonly EventDefinition[] }

/** Runs `run` in one transaction and sends its wake-ups after the commit. It may publish events of the types in `emits` only. */
export async function transact<T>(
  app: App,
  caller: Caller,
  { requestId, emits = [] }: WorkOptions,
  run: (work: Work) => Promise<T>,
): Promise<T> {
  const topics = new Set<string>()
  const wake = (...names: string[]) => {
    for (const name of names) topics.add(name)
  }
  const result = await app.db.transaction((tx) => {
    topics.clear()
    return run({ app, tx, caller, requestId: requestId ?? null, emits, wake })
  })
  if (topics.size > 0) app.wake.notify(...topics)
  return result
}
