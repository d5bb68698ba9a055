import { systemCaller } from '../../../platform/access.ts'
import { publish } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'
import { type App, transact, type Work } from '../../../platform/work.ts'
import {
  disableEndpoint,
  type Recipient,
  webhookEndpointDisabled,
  webhookEndpointFailing,
  webhookEndpointRecovered,
} from '../endpoint/index.ts'
import { type HealthChange, markRecovered, markWarned } from './health.ts'

/** What is published about an endpoint because of its attempts. */
export const healthEvents = [webhookEndpointDisabled, webhookEndpointFailing, webhookEndpointRecovered]

/**
 * Publishes that an endpoint is failing or has recovered, each once, and disables it. Runs after the transaction that settled the
 * attempt, because it locks the endpoint. After a crash in between, the next attempt finds the same change.
 */
export async function reportHealth(
  app: App,
  recipient: Recipient,
  changes: readonly HealthChange[],
  disable: string | null,
): Promise<void> {
  const inTransaction = (run: (work: Work) => Promise<unknown>) =>
    transact(app, systemCaller(recipient.organizationId), { emits: healthEvents }, run)
  if (disable) await inTransaction((work) => disableEndpoint(work, recipient.id, disable))
  for (const { kind, failingSince } of changes) {
    if (kind === 'warn') await inTransaction((work) => publishFailing(work, recipient, failingSince))
    if (kind === 'recovered') await inTransaction((work) => publishRecovered(work, recipient, failingSince))
    if (kind === 'disable') {
      await inTransaction((work) =>
        disableEndpoint(work, recipient.id, `The endpoint has accepted no message since ${failingSince.toISOString()}.`),
      )
    }
  }
}

const about = ({ id, description }: Recipient) => ({ webhookEndpointId: encodeId('WebhookEndpoint', id), description })

async function publishFailing(work: Work, recipient: Recipient, failingSince: Date): Promise<void> {
  if (!(await markWarned(work, recipient.id))) return
  const disabledFrom = new Date(failingSince.getTime() + work.app.settings.WEBHOOK_DISABLE_AFTER_MS)
  await publish(work, webhookEndpointFailing, {
    subjectId: recipient.id,
    projectId: recipient.projectId,
    data: { ...about(recipient), failingSince: failingSince.toISOString(), disabledFrom: disabledFrom.toISOString() },
  })
}

async function publishRecovered(work: Work, recipient: Recipient, failingSince: Date): Promise<void> {
  if (!(await markRecovered(work, recipient.id))) return
  await publish(work, webhookEndpointRecovered, {
    subjectId: recipient.id,
    projectId: recipient.projectId,
    data: { ...about(recipient), failingSince: failingSince.toISOString() },
  })
}
