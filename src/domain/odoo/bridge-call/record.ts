/**
 * Records of calls: who called which method, for how long, and how it ended; never arguments or results. They are written in batches beside the
 * requests, a second after the first of them. While the database is away, a limited number is kept.
 */
import type { Caller } from '../../../platform/access.ts'
import { createBackoff, run, sql } from '../../../platform/db/index.ts'
import { createFailureLog } from '../../../platform/failure-log.ts'
import { newId } from '../../../platform/id.ts'
import { perApp } from '../../../platform/per-app.ts'
import type { App } from '../../../platform/work.ts'

export type CallRecord = {
  caller: Caller
  odooAccountId: string
  model: string
  method: string
  durationMs: number
  /** Code of the error; null for a call that succeeded. */
  errorCode: string | null
}

type Row = Omit<CallRecord, 'caller'> & { id: string; organizationId: string; apiKeyId: string | null; calledBy: string; createdAt: Date }

const everyMs = 1_000
const maxBackoffMs = 10_000
/** Records in one statement, and records kept while none can be written. */
const batch = 1_000
const maxKept = 20_000

const recorderOf = perApp((app) => {
  let kept: Row[] = []
  let dropped = 0
  let timer: NodeJS.Timeout | null = null
  let present: Promise<void> | null = null
  const backoff = createBackoff(maxBackoffMs)
  const failures = createFailureLog(
    app,
    { failed: 'records of calls of Odoo could not be written', recovered: 'calls of Odoo are recorded again' },
    'warn',
  )

  const wait = (ms: number) => {
    timer ??= setTimeout(() => void flush(), ms).unref()
  }
  const flush = (): Promise<void> => {
    present ??= writeAll().finally(() => {
      present = null
    })
    return present
  }
  const writeAll = async () => {
    if (timer) clearTimeout(timer)
    timer = null
    while (kept.length > 0) {
      const rows = kept.slice(0, batch)
      try {
        await insert(app, rows)
      } catch (error) {
        failures.failed(error)
        wait(everyMs + backoff.next())
        return
      }
      kept = kept.slice(rows.length)
      backoff.reset()
      failures.succeeded()
      if (dropped > 0) app.log.warn({ dropped }, 'records of calls of Odoo were lost while the database was away')
      dropped = 0
    }
  }
  return {
    add(row: Row) {
      if (kept.length >= maxKept) dropped++
      else kept.push(row)
      wait(everyMs)
    },
    flush,
  }
})

function insert(app: App, rows: readonly Row[]): Promise<number> {
  const of = <Name extends keyof Row>(name: Name) => rows.map((row) => row[name])
  return run(
    app.db,
    sql`insert into bridge_call (id, organization_id, odoo_account_id, api_key_id, called_by, model, method, duration_ms, error_code, created_at)
        select s.* from unnest(${of('id')}::uuid[], ${of('organizationId')}::uuid[], ${of('odooAccountId')}::uuid[], ${of('apiKeyId')}::uuid[],
          ${of('calledBy')}::text[], ${of('model')}::text[], ${of('method')}::text[], ${of('durationMs')}::int[], ${of('errorCode')}::text[],
          ${of('createdAt')}::timestamptz[]) as s (id, organization_id)
        where exists (select 1 from organization o where o.id = s.organization_id)`,
  )
}

export function recordCall(app: App, { caller, ...call }: CallRecord): void {
  const { organizationId, apiKeyId, subject } = caller
  recorderOf(app).add({ ...call, id: newId(), organizationId, apiKeyId, calledBy: subject.name, createdAt: app.clock.now() })
}

/** Writes what is not written yet. To be called when the process ends. Never rejects. */
export const flushCallRecords = (app: App): Promise<void> => recorderOf(app).flush()
