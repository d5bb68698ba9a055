/**
 * Environments whose derived status may have changed. They are noted in the transaction of the change, so that whoever publishes the status
 * looks at these instead of at all environments.
 */
import { defer, rows, run, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import type { Work } from '../../../platform/work.ts'

/** Maximum number of changes that are taken together. */
export const environmentChangesAtOnce = 500

/** Wake-up topic of new changes. */
export const environmentTopic = 'environments'

/** Notes environments. `ids` is a query of their ids. */
export function noteEnvironments(work: Work, ids: Sql): void {
  defer(work.tx, sql`insert into environment_change (environment_id) ${ids}`)
  work.wake(environmentTopic)
}

/** The environment of a service, as a query. */
export const environmentOf = (webServiceId: string): Sql => sql`select environment_id from web_service where id = ${webServiceId}::uuid`

export type EnvironmentChange = { id: bigint; environmentId: string }

export const readEnvironmentChanges = (tx: Tx): Promise<EnvironmentChange[]> =>
  rows<EnvironmentChange>(tx, sql`select id, environment_id from environment_change order by id limit ${environmentChangesAtOnce}`)

/** Removes changes that have been handled. Those with lower ids may be committed later, so only these are removed. */
export const forgetEnvironmentChanges = (tx: Tx, changes: readonly EnvironmentChange[]): Promise<number> =>
  run(tx, sql`delete from environment_change where id = any(${changes.map(({ id }) => id)}::bigint[])`)
