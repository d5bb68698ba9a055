/** The settings that a deployment pins: those of every service, and those of its kind. */
import type { WebService } from '../../../generated/prisma/client.ts'
import { row, run, sql } from '../../../platform/db/index.ts'
import type { Work } from '../../../platform/work.ts'
import { type ServiceSettings, settingsOf } from '../../apps/web-service/index.ts'
import { kindOf } from '../instance/index.ts'

/** What a deployment of the service would pin now. */
export async function currentSettings({ app, tx }: Pick<Work, 'app' | 'tx'>, service: WebService): Promise<ServiceSettings> {
  const extra = await kindOf(app, service.kind)?.settings(tx, service.id)
  return { ...settingsOf(service), ...(extra ? { extra } : {}) }
}

/**
 * Gives the live deployment of a service the present settings of its kind, for instances that are started from now on. What its build pinned
 * is kept.
 */
export async function repinExtra({ app, tx }: Work, service: Pick<WebService, 'id' | 'kind'>): Promise<void> {
  const extra = await kindOf(app, service.kind)?.settings(tx, service.id)
  const live = await row<{ id: string; settings: ServiceSettings }>(
    tx,
    sql`select id, settings from deployment where web_service_id = ${service.id}::uuid and status = 'LIVE' for update`,
  )
  if (!extra || !live) return
  const settings = { ...live.settings, extra: { ...live.settings.extra, ...extra } }
  await run(tx, sql`update deployment set settings = ${JSON.stringify(settings)}::json where id = ${live.id}::uuid`)
}
