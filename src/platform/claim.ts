/**
 * Claims rows of queues: with SKIP LOCKED, and a lease with a fencing epoch that is renewed while the work lasts, by the database's clock only.
 * The table of a queue has the columns lease_owner, lease_epoch, lease_expires_at and lease_ended. A worker that has finished or released a
 * row clears owner and expiry, so a row where they are still set was held by a process that crashed.
 */
import { raw, row, rows, run, type Sql, sql, type Tx } from './db/index.ts'
import type { EventDefinition } from './events.ts'
import type { App } from './work.ts'

/** `leaseEnded` is the last epoch whose holder is known to have survived. */
export type Claimed = { leaseEpoch: number; leaseEnded: number }

/** A row that this many consecutive holders held when they crashed is set aside, since it may be the cause. */
export const maxLosses = 3

/** Number of consecutive holders of a row that crashed before the current one. */
export const lossesOf = ({ leaseEpoch, leaseEnded }: Claimed): number => leaseEpoch - 1 - leaseEnded

/** Reason shown for an item that was set aside. */
export const setAsideText = `The last ${maxLosses} processes that handled it all exited before it finished. It is not retried automatically.`

/** The columns that every claim sets: the new holder, and, if the row had been released, that all former holders survived. */
export const takeLease = (owner: string, leaseMs: number): Sql =>
  sql`lease_owner = ${owner}, lease_epoch = t.lease_epoch + 1, lease_expires_at = app_now() + ${leaseMs} * interval '1 millisecond',
      lease_ended = case when t.lease_expires_at is null then t.lease_epoch else t.lease_ended end`

type ClaimRequest = {
  table: string
  /** Key columns of the table, for the join. */
  key: readonly string[]
  /** Condition for due rows. The lease is checked in addition. */
  due: Sql
  order: Sql
  limit: number
  owner: string
  leaseMs: number
  /** Additional columns to set, for example sql`, status = 'RUNNING'`. */
  set?: Sql
  /** Columns that are returned, of the table under the alias `t`. Default: all. */
  returning?: Sql
}

/** Claims due rows whose lease is free or expired. Each gets a new epoch, which fences off the former holder. */
export function claim<Row>(
  tx: Tx,
  { table, key, due, order, limit, owner, leaseMs, set, returning }: ClaimRequest,
): Promise<(Row & Claimed)[]> {
  const keys = raw(key.map((column) => `t.${column}`).join(', '))
  const match = raw(key.map((column) => `c.${column} = t.${column}`).join(' and '))
  return rows(
    tx,
    sql`with candidate as (
          select ${keys} from ${raw(table)} t
          where (${due}) and (t.lease_expires_at is null or t.lease_expires_at < app_now())
          order by ${order} limit ${limit} for update of t skip locked)
        update ${raw(table)} t
        set ${takeLease(owner, leaseMs)}${set ?? sql``}
        from candidate c where ${match} returning ${returning ?? sql`t.*`}`,
  )
}

/** Renews a lease. Returns false if the row has another holder now; the former one must then stop at once. */
export async function renew(tx: Tx, table: string, match: Sql, epoch: number, leaseMs: number): Promise<boolean> {
  const renewed = await run(
    tx,
    sql`update ${raw(table)} set lease_expires_at = app_now() + ${leaseMs} * interval '1 millisecond'
        where ${match} and lease_epoch = ${epoch} and lease_owner is not null and lease_expires_at is not null`,
  )
  return renewed > 0
}

/** Expires the leases of processes that are known to have ended, so that nobody waits for them. */
export const voidLeases = (tx: Tx, table: string, owners: readonly string[]): Promise<number> =>
  run(
    tx,
    sql`update ${raw(table)} set lease_expires_at = app_now() - interval '1 millisecond'
        where lease_owner = any(${owners}) and lease_expires_at >= app_now()`,
  )

/** In how many milliseconds the first of some rows is due, at least 0. Null if there are none. */
export async function firstDueInMs(tx: Tx, table: string, column: string, where: Sql): Promise<number | null> {
  const first = await row<{ ms: number }>(
    tx,
    sql`select greatest(0, ceil(extract(epoch from ${raw(column)} - app_now()) * 1000))::float8 as ms
        from ${raw(table)} where ${where} order by ${raw(column)} limit 1`,
  )
  return first?.ms ?? null
}

/** The rows of a queue: their table, and the condition that matches the row of an item. */
export type LeasedRows<Item> = { table: string; match(item: Item): Sql }

/** Records that the holder of this epoch survived, whatever the result of its work, so that no crash is counted for the item. */
export const recordSurvival = <Item extends Claimed>(tx: Tx, { table, match }: LeasedRows<Item>, item: Item): Promise<number> =>
  run(
    tx,
    sql`update ${raw(table)} set lease_ended = ${item.leaseEpoch}
        where ${match(item)} and lease_epoch >= ${item.leaseEpoch} and lease_ended < ${item.leaseEpoch}`,
  )

/** The same for all rows that a process holds when it is stopped: if it is killed now, none of them is the cause. */
export const recordSurvivalOfAll = (tx: Tx, table: string, owner: string): Promise<number> =>
  run(tx, sql`update ${raw(table)} set lease_ended = lease_epoch where lease_owner = ${owner} and lease_expires_at is not null`)

/** Releases a claimed row without working on it, to be claimed again after `waitMs`. Neither adds to the counted crashes nor resets them. */
export const defer = <Item extends Claimed>(tx: Tx, { table, match }: LeasedRows<Item>, item: Item, waitMs: number): Promise<number> =>
  run(
    tx,
    sql`update ${raw(table)} set lease_owner = null, lease_ended = lease_ended + 1, lease_expires_at = app_now() + ${waitMs} * interval '1 millisecond'
        where ${match(item)} and lease_epoch = ${item.leaseEpoch}`,
  )

/** What a claim found: the claimed items and, if they are fewer than requested, what the other rows of the queue wait for. */
export type Claims<Item> = {
  items: Item[]
  /** In how many milliseconds the next of the other rows can be claimed, at least 0. Null if only a wake-up or the poll can tell. */
  dueInMs: number | null
  /** Whether another row can be claimed as soon as an item of the worker has ended. */
  waitsForOwn: boolean
}

/** Whether the row of an item is to be claimed again. */
export type End = 'done' | 'pending'

/** A kind of work that is stored as rows: how it is claimed, processed and kept. Run by the jobs room. */
export type Queue<Item extends Claimed> = {
  name: string
  /** The event types that its work publishes. */
  emits?: readonly EventDefinition[]
  rows: LeasedRows<Item>
  /** Wake-up topic. Polling covers lost wake-ups. */
  topic: string
  pollMs: number
  concurrency: number
  /** Whether `signal` aborts as soon as the process stops, without a grace period: for long work, which another process takes over. */
  abortOnStop?: boolean
  /** Claims up to `limit` rows for a worker that is working on the items `held`. */
  claim(app: App, worker: string, limit: number, held: readonly Item[]): Promise<Claims<Item>>
  /** Returns false if the lease is lost; `signal` then aborts. */
  renew(app: App, item: Item): Promise<boolean>
  /** Releases an item that could not be processed because of a database outage. Does nothing if it has another holder by now. */
  release?(app: App, item: Item): Promise<unknown>
  /**
   * Resolves when the item is done or `signal` aborts: the lease is lost or the process is stopping. It may be aborted from the start. With
   * `pending`, its row is to be claimed again, now or later.
   */
  work(app: App, item: Item, signal: AbortSignal): Promise<End | void>
  /** Called instead of `work` for an item that may crash processes. Ends it without another attempt. */
  setAside(app: App, item: Item, signal: AbortSignal): Promise<void>
}

/** Work that is repeated, in one process at a time or in each. If `run` returns `again`, it runs again at once. */
export type Chore = {
  name: string
  /** The event types that it publishes. */
  emits?: readonly EventDefinition[]
  topic: string | null
  everyMs: number
  /** Minimum time from the start of a run to that of the next one, in milliseconds, so that a run handles all that was gathered meanwhile. */
  gatherMs?: number
  /** Called after each run: the time in milliseconds until the next one, or null for `everyMs`. */
  dueInMs?(app: App): number | null
  run(app: App, signal: AbortSignal): Promise<'again' | void>
}

/** Takes or renews a named lease. Returns its epoch, or null if another process holds it. */
export async function holdLease(tx: Tx, name: string, owner: string, leaseMs: number): Promise<number | null> {
  const [held] = await rows<{ epoch: number }>(
    tx,
    sql`insert into lease as l (name, owner, epoch, expires_at) values (${name}, ${owner}, 1, app_now() + ${leaseMs} * interval '1 millisecond')
        on conflict (name) do update
        set owner = excluded.owner, expires_at = excluded.expires_at, epoch = case when l.owner = excluded.owner then l.epoch else l.epoch + 1 end
        where l.owner = excluded.owner or l.expires_at < app_now()
        returning epoch`,
  )
  return held?.epoch ?? null
}

/** Releases a named lease before it expires. Does nothing if another process holds it. */
export async function dropLease(tx: Tx, name: string, owner: string): Promise<void> {
  await run(tx, sql`update lease set expires_at = app_now() - interval '1 millisecond' where name = ${name} and owner = ${owner}`)
}
