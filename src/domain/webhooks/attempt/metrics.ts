import { row, rows, sql } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'

export type WebhookFigures = {
  /** Number of pending deliveries, and how many of them are due. */
  pending: number
  due: number
  /** Time since the oldest due delivery became due. */
  oldestDueSeconds: number
  disabledEndpoints: number
  /** Attempts by error class: the last 2,000 of the last five minutes. */
  attempts: { class: string; count: number }[]
  /** Time between the due time of an attempt and its start. */
  lags: { kind: 'fresh' | 'retry'; p50Seconds: number; p99Seconds: number }[]
}

/** Reads the figures of the whole installation, not only of this process, in two statements. */
export async function webhookFigures(app: App): Promise<WebhookFigures> {
  const tx = app.db
  const counts = await row<{ pending: number; due: number; oldest: number; disabled: number }>(
    tx,
    sql`select count(*)::int as pending, (count(*) filter (where next_attempt_at <= app_now()))::int as due,
               coalesce(extract(epoch from app_now() - min(next_attempt_at) filter (where next_attempt_at <= app_now())), 0)::float8 as oldest,
               (select count(*)::int from webhook_endpoint where disabled_at is not null) as disabled
        from webhook_delivery where status = 'PENDING'`,
  )
  const recent = sql`(select error_class, number, due_at, started_at from webhook_attempt order by ordinal desc limit 2000)`
  const found = await rows<{ kind: 'fresh' | 'retry'; class: string; count: number; p50: number | null; p99: number | null }>(
    tx,
    sql`with recent as materialized (
          select case when number = 1 then 'fresh' else 'retry' end as kind, coalesce(error_class::text, 'none') as class,
                 extract(epoch from started_at - due_at)::float8 as lag
          from ${recent} r where started_at > app_now() - interval '5 minutes')
        select kind, class, count(*)::int as count,
               (select percentile_cont(0.5) within group (order by lag) from recent l where l.kind = r.kind) as p50,
               (select percentile_cont(0.99) within group (order by lag) from recent l where l.kind = r.kind) as p99
        from recent r group by kind, class`,
  )
  const byKind = new Map(found.map((item) => [item.kind, item]))
  const byClass = Map.groupBy(found, (item) => item.class)
  return {
    pending: counts?.pending ?? 0,
    due: counts?.due ?? 0,
    oldestDueSeconds: counts?.oldest ?? 0,
    disabledEndpoints: counts?.disabled ?? 0,
    attempts: [...byClass].map(([name, items]) => ({ class: name, count: items.reduce((sum, { count }) => sum + count, 0) })),
    lags: [...byKind.values()].map(({ kind, p50, p99 }) => ({ kind, p50Seconds: p50 ?? 0, p99Seconds: p99 ?? 0 })),
  }
}
