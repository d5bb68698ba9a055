import { run, sql } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'

export const expireResponseBodiesBatch = 1_000

/** Removes response bodies older than WEBHOOK_RETENTION_MS from their attempts. Returns the number removed, at most a batch. */
export const expireResponseBodies = (app: App): Promise<number> =>
  run(
    app.db,
    sql`update webhook_attempt set response_body = null where id in (
          select id from webhook_attempt
          where response_body <> '' and created_at < app_now() - ${app.settings.WEBHOOK_RETENTION_MS} * interval '1 millisecond'
          order by created_at limit ${expireResponseBodiesBatch})`,
  )
