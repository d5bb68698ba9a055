import { systemCaller } from '../../../platform/access.ts'
import { publish } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'
import { type App, transact, type Work } from '../../../platform/work.ts'
import { disableEndpoint, type Recipient, webhookEndpointFailing, webhookEndpointRecovered } from '../endpoint/index.ts'
import { type LaneNews, markRecovered, markWarned } from './health.ts'

/**
 * Acts on what a try changed: warns once, disables, tells of a recovery. Apart from the transaction that settled the try, since it
 * locks the endpoint; when a crash comes between, the next try finds the same.
 */
export async function actOn(app: App, recipient: Recipient, news: readonly LaneNews[], disable: string | null): Promise<void> {
  const inOne = (run: (work: Work) => Promise<unknown>) => transact(app, systemCaller(recipient.organizationId), null, run)
  if (disable) await inOne((work) => disableEndpoint(work, recipient.id, disable))
  for (const { kind, failingSince } of news) {
    if (kind === 'warn') await inOne((work) => warn(work, recipient, failingSince))
    if (kind === 'recovered') await inOne((work) => tellRecovered(work, recipient, failingSince))
    if (kind === 'disable') {
      await inOne((work) => disableEndpoint(work, recipient.id, `It only failed since ${failingSince.toISOString()}.`))
    }
  }
}

const about = ({ id, description }: Recipient) => ({ webhookEndpointId: encodeId('WebhookEndpoint', id), description })

async function warn(work: Work, recipient: Recipient, failingSince: Date): Promise<void> {
  if (!(await markWarned(work, recipient.id))) return
  const disabledFrom = new Date(failingSince.getTime() + work.app.settings.WEBHOOK_DISABLE_AFTER_MS)
  await publish(work, webhookEndpointFailing, {
    subjectId: recipient.id,
    projectId: recipient.projectId,
    data: { ...about(recipient), failingSince: failingSince.toISOString(), disabledFrom: disabledFrom.toISOString() },
  })
}

async function tellRecovered(work: Work, recipient: Recipient, failingSince: Date): Promise<void> {
  if (!(await markRecovered(work, recipient.id))) return
  await publish(work, webhookEndpointRecovered, {
    subjectId: recipient.id,
    projectId: recipient.projectId,
    data: { ...about(recipient), failingSince: failingSince.toISOString() },
  })
}
