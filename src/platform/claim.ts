/**
 * The one way in which queue rows are claimed: SKIP LOCKED, a lease with a fencing epoch, renewed while the work lasts, database
 * clock only. A table that is a queue has the columns lease_owner, lease_epoch, lease_expires_at and lease_ended. Whoever is done with a
 * row, or gives it back, clears owner and time: what a claim finds uncleared was in the hands of a process that ended without a word.
 */
import { raw, row, rows, run, type Sql, sql, type Tx } from './db/index.ts'
import type { EventDefinition } from './events.ts'
import type { App } from './work.ts'

/** `leaseEnded`: the last epoch whose holder, as far as is known, lived to its end. */
export type Claimed = { leaseEpoch: number; leaseEnded: number }

/** A row that so many processes in a row had in hand when they ended is set aside: it may be what ends them. */
export const mostLosses = 3

/** How many holders of a row in a row ended without a word, before the present one. */
export const lossesOf = ({ leaseEpoch, leaseEnded }: Claimed): number => leaseEpoch - 1 - leaseEnded

/** For a person to read, of what was set aside. */
export const setAsideText = `The last ${mostLosses} processes that handled it all exited before it finished. It is not retried automatically.`

/** What every claim sets: the new holder, and that all former ones lived when the row was given back. */
export const takeLease = (owner: string, leaseMs: number): Sql =>
  sql`lease_owner = ${owner}, lease_epoch = t.lease_epoch + 1, lease_expires_at = app_now() + ${leaseMs} * interval '1 millisecond',
      lease_ended = case when t.lease_expires_at is null then t.lease_epoch else t.lease_ended end`

type ClaimRequest = {
  table: string
  /** Key columns of the table, for the join back. */
  key: readonly string[]
  /** Which rows are due; the lease itself is looked at here. */
  due: Sql
  order: Sql
  limit: number
  owner: string
  leaseMs: number
  /** More columns to set with the claim: sql`, status = 'RUNNING'`. */
  set?: Sql
}

/** Claims due rows whose lease is free or over; each gets a new epoch, which fences whoever held it before. */
export function claim<Row>(tx: Tx, { table, key, due, order, limit, owner, leaseMs, set }: ClaimRequest): Promise<(Row & Claimed)[]> {
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
        from candidate c where ${match} returning t.*`,
  )
}

/** Makes a lease longer. False when it is another's now: the holder must stop at once. */
export async function renew(tx: Tx, table: string, match: Sql, epoch: number, leaseMs: number): Promise<boolean> {
  const renewed = await run(
    tx,
    sql`update ${raw(table)} set lease_expires_at = app_now() + ${leaseMs} * interval '1 millisecond'
        where ${match} and lease_epoch = ${epoch} and lease_owner is not null and lease_expires_at is not null`,
  )
  return renewed > 0
}

/** Ends the leases of processes that are known to have ended: nobody waits for them. */
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

/** The rows of a queue, for those who hold them. */
export type LeasedRows<Item> = { table: string; match(item: Item): Sql }

/** Puts down that the holder of this epoch lived on, whatever became of its work: nobody's end is counted for it. */
export const absolve = <Item extends Claimed>(tx: Tx, { table, match }: LeasedRows<Item>, item: Item): Promise<number> =>
  run(
    tx,
    sql`update ${raw(table)} set lease_ended = ${item.leaseEpoch}
        where ${match(item)} and lease_epoch >= ${item.leaseEpoch} and lease_ended < ${item.leaseEpoch}`,
  )

/** The same for all that a process holds, which is asked to stop: however it ends now, none of it is to blame. */
export const absolveAll = (tx: Tx, table: string, owner: string): Promise<number> =>
  run(tx, sql`update ${raw(table)} set lease_ended = lease_epoch where lease_owner = ${owner} and lease_expires_at is not null`)

/** Gives a claim back untried, to be claimed after `waitMs`: it neither counts as an end nor makes former ones forgotten. */
export const putOff = <Item extends Claimed>(tx: Tx, { table, match }: LeasedRows<Item>, item: Item, waitMs: number): Promise<number> =>
  run(
    tx,
    sql`update ${raw(table)} set lease_owner = null, lease_ended = lease_ended + 1, lease_expires_at = app_now() + ${waitMs} * interval '1 millisecond'
        where ${match(item)} and lease_epoch = ${item.leaseEpoch}`,
  )

/** Work that is found in rows: how it is claimed, done and kept. The jobs room runs it. */
export type Queue<Item extends Claimed> = {
  name: string
  /** The event types that its work publishes. */
  emits?: readonly EventDefinition[]
  rows: LeasedRows<Item>
  /** Wake-up topic; the poll stands behind it. */
  topic: string
  pollMs: number
  concurrency: number
  /** Long work, which another process takes over: its signal aborts as soon as this process stops, without the grace. */
  abortOnStop?: boolean
  claim(app: App, worker: string, limit: number): Promise<Item[]>
  /**
   * For rows with a time of their own: in how many milliseconds the next one is due that a worker with so many free slots would be given, null
   * for none before one of its own has ended. The poll needn't be short then.
   */
  dueInMs?(app: App, worker: string, free: number): Promise<number | null>
  /** False: the lease is lost, and `signal` aborts. */
  renew(app: App, item: Item): Promise<boolean>
  /** Gives an item back that an outage of the database kept from being worked on; nothing when it is another's already. */
  release?(app: App, item: Item): Promise<unknown>
  /** Ends when the item is done or `signal` aborts (lease lost, or the process is stopping; perhaps from the start). */
  work(app: App, item: Item, signal: AbortSignal): Promise<void>
  /** Ends an item that may be what ends processes, without trying it again; in place of `work`. */
  setAside(app: App, item: Item, signal: AbortSignal): Promise<void>
}

/** Something to do again and again in one process at a time or in each. `again` runs it at once once more. */
export type Chore = {
  name: string
  /** The event types that it publishes. */
  emits?: readonly EventDefinition[]
  topic: string | null
  everyMs: number
  /** Asked after each run: in how many milliseconds the next one is due; null for `everyMs`. */
  dueInMs?(app: App): number | null
  run(app: App, signal: AbortSignal): Promise<'again' | void>
}

/** A named lease for one process: null when another holds it. */
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

/** Gives a named lease back before it is over; nothing when it is another's. */
export async function dropLease(tx: Tx, name: string, owner: string): Promise<void> {
  await run(tx, sql`update lease set expires_at = app_now() - interval '1 millisecond' where name = ${name} and owner = ${owner}`)
}
