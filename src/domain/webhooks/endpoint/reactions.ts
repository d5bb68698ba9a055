import { onEvent, type Reaction } from '../../../platform/events.ts'
import { queuePlatformMail } from '../../access/mail/index.ts'
import { ownerAddresses } from '../../access/user/index.ts'
import { projectDeleted } from '../../apps/project/index.ts'
import { deleteEndpointsOfProject } from './commands.ts'
import { deleteWithEmailService } from './email.ts'
import { webhookEndpointDeleted, webhookEndpointDisabled } from './events.ts'

/** Deletes the endpoints of a project together with it. */
const deleteWithProject = onEvent(projectDeleted, (work, event) => deleteEndpointsOfProject(work, event.subjectId), {
  emits: [webhookEndpointDeleted],
})

/** Tells the owners by mail that Quayside has disabled an endpoint, since its receiver may be gone. */
const noticeOfDisabling = onEvent(webhookEndpointDisabled, async (work, { subjectId, data }) => {
  if (work.caller.subject.type !== 'system') return
  const { organizationId } = work.caller
  const to = await ownerAddresses(work.tx, organizationId)
  if (to.length === 0) return
  const { description, reason, webhookEndpointId } = data
  const name = description ? `${description} (${webhookEndpointId})` : webhookEndpointId
  const paragraphs = [
    `The webhook endpoint ${name} was disabled. ${reason}`,
    'It receives no more messages. When its receiver works again, enable it with updateWebhookEndpoint, and replay the messages that it has missed.',
  ]
  await queuePlatformMail(work, {
    ...{ organizationId, purpose: 'notice', ref: subjectId, to },
    ...{ subject: 'A webhook endpoint was disabled', body: { paragraphs } },
  })
})

export const reactions: Reaction[] = [deleteWithProject, deleteWithEmailService, noticeOfDisabling]
