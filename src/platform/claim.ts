/**
 * The one way in which queue rows are claimed: SKIP LOCKED, a lease with a fencing epoch, renewed while the work lasts, database
 * clock only. A table that is a queue has the columns lease_owner, lease_epoch and lease_expires_at.
 */
import { raw, rows, run, type Sql, sql, type Tx } from './db/index.ts'
import type { App } from './work.ts'

export type Claimed = { leaseEpoch: number }

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
        set lease_owner = ${owner}, lease_epoch = t.lease_epoch + 1, lease_expires_at = app_now() + ${leaseMs} * interval '1 millisecond'${set ?? sql``}
        from candidate c where ${match} returning t.*`,
  )
}

/** Makes a lease longer. False when it is another's now: the holder must stop at once. */
export async function renew(tx: Tx, table: string, match: Sql, epoch: number, leaseMs: number): Promise<boolean> {
  const renewed = await run(
    tx,
    sql`update ${raw(table)} set lease_expires_at = app_now() + ${leaseMs} * interval '1 millisecond'
        where ${match} and lease_epoch = ${epoch} and lease_owner is not null`,
  )
  return renewed > 0
}

/** Work that is found in rows: how it is claimed, done and kept. The jobs room runs it. */
export type Queue<Item> = {
  name: string
  /** Wake-up topic; the poll stands behind it. */
  topic: string
  pollMs: number
  concurrency: number
  /** Long work, which another process takes over: its signal aborts as soon as this process stops, without the grace. */
  abortOnStop?: boolean
  claim(app: App, worker: string, limit: number): Promise<Item[]>
  /** For rows with a time of their own: in how many milliseconds the next one is due, null for none. The poll needn't be short then. */
  dueInMs?(app: App): Promise<number | null>
  /** False: the lease is lost, and `signal` aborts. */
  renew(app: App, item: Item): Promise<boolean>
  /** Ends when the item is done or `signal` aborts (lease lost, or the process is stopping; perhaps from the start). */
  work(app: App, item: Item, signal: AbortSignal): Promise<void>
}

/** Something to do again and again in one process at a time or in each. `again` runs it at once once more. */
export type Chore = {
  name: string
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
