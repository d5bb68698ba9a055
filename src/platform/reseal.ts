/**
 * Rotation of data keys: an organization gets a new key when its current one is too old, and values that were sealed with former keys are
 * sealed again, in small batches and during normal operation. Concepts declare their sealed columns.
 */
import type { Chore } from './claim.ts'
import { dataKeyVersion } from './crypto.ts'
import { unstamped } from './db/constraints.ts'
import { raw, row, rows, run, sql } from './db/index.ts'
import { nilId } from './id.ts'
import type { App } from './work.ts'

/** A column with sealed values. */
export type SealedColumn = {
  table: string
  /** The uuid column that `identity` is derived from. */
  key: string
  column: string
  /** Whose data key seals it: that of `organization_id` in the row, or that of the installation (`nilId`). Default: organization. */
  of?: 'organization' | 'installation'
  /** The identity that the value was sealed for. */
  identity: (key: string) => string
}

const batch = 200

/** Encodes bytes for a text[] parameter. */
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

/**
 * Reseals a column's values that were sealed with a former data key, and returns their number. A value that is changed meanwhile is left
 * alone, and a value that can't be opened is logged and left alone. `updated_at` is not changed.
 */
async function resealColumn(
  app: App,
  { table, key, column, of = 'organization', identity }: SealedColumn,
  signal: AbortSignal,
): Promise<number> {
  const tx = app.db
  const value = sql`t.${raw(column)}`
  const owner = of === 'installation' ? sql`${nilId}::uuid` : sql`t.organization_id`
  let done = 0
  for (let after = nilId; !signal.aborted; ) {
    const old = await rows<{ key: string; organizationId: string; value: Uint8Array }>(
      tx,
      sql`select t.${raw(key)} as key, ${owner} as organization_id, ${value} as value from ${raw(table)} t
          where t.${raw(key)} > ${after}::uuid and ${value} is not null and ${dataKeyVersion(value)} <>
            (select max(k.version) from organization_key k where k.organization_id = ${owner})
          order by t.${raw(key)} limit ${batch}`,
    )
    for (const [organizationId, found] of Map.groupBy(old, (row) => row.organizationId)) {
      const opened: { key: string; former: Uint8Array; plain: string }[] = []
      for (const row of found) {
        try {
          const plain = await app.keyring.open(tx, organizationId, identity(row.key), row.value)
          opened.push({ key: row.key, former: row.value, plain })
        } catch (err) {
          app.log.error({ err, table, column, row: row.key }, 'a sealed value could not be opened and was not sealed again')
        }
      }
      const sealed = await app.keyring.sealAll(
        tx,
        organizationId,
        opened.map((row) => ({ identity: identity(row.key), plain: row.plain })),
      )
      done += await app.db.transaction(async (tx) => {
        await run(tx, sql`select set_config(${unstamped}, 'on', true)`)
        return run(
          tx,
          sql`update ${raw(table)} t set ${raw(column)} = decode(n.sealed, 'base64')
              from unnest(${opened.map((row) => row.key)}::uuid[], ${sealed.map(base64)}::text[], ${opened.map((row) => base64(row.former))}::text[])
                as n(key, sealed, former)
              where t.${raw(key)} = n.key and ${value} = decode(n.former, 'base64')`,
        )
      })
    }
    const last = old.at(-1)
    if (!last || old.length < batch) break
    after = last.key
  }
  return done
}

/** Creates new data keys for organizations whose key is older than DATA_KEY_MAX_AGE_MS. */
async function renewDataKeys(app: App): Promise<void> {
  const due = await rows<{ organizationId: string }>(
    app.db,
    sql`select organization_id from organization_key group by 1
        having max(created_at) < app_now() - ${app.settings.DATA_KEY_MAX_AGE_MS} * interval '1 millisecond'`,
  )
  for (const { organizationId } of due) await app.keyring.rotateDataKey(app.db, organizationId)
}

/** Whether values can be sealed with a former key: reading all of them to see that none is would be the cost of an idle server. */
const formerKeysExist = async (app: App): Promise<boolean> =>
  (await row(app.db, sql`select 1 as one from organization_key group by organization_id having count(*) > 1 limit 1`)) !== null

/** Two processes may run it concurrently: each key is still added once, and each value replaced once. */
export const rotateDataKeys: Chore = {
  name: 'rotate data keys',
  topic: 'data keys',
  everyMs: 3_600_000,
  async run(app, signal) {
    await renewDataKeys(app)
    if (!(await formerKeysExist(app))) return
    let done = 0
    for (const column of app.domain.sealed) done += await resealColumn(app, column, signal)
    if (done > 0) app.log.info({ values: done }, 'values were sealed again with the newest data keys')
  },
}
