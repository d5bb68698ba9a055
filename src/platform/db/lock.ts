import { row, run, sql, type Tx } from './index.ts'

/** Takes the lock with this name until the end of the transaction. Waits while another transaction holds it. */
export async function lock(tx: Tx, name: string): Promise<void> {
  await run(tx, sql`select pg_advisory_xact_lock(hashtextextended(${name}, 0))`)
}

/** The same without waiting. Returns false if another transaction holds the lock. */
export async function tryLock(tx: Tx, name: string): Promise<boolean> {
  const answer = await row<{ held: boolean }>(tx, sql`select pg_try_advisory_xact_lock(hashtextextended(${name}, 0)) as held`)
  return answer!.held
}
