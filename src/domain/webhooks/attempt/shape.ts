/** Bodies that differ from that of the message: an older schema version, a selection, or another format. */
import type { App } from '../../../platform/work.ts'
import { contractBodies, type Recipient, selectionPort } from '../endpoint/index.ts'
import { inVersion } from '../event-type/index.ts'
import type { Sendable } from '../message/index.ts'
import { chatBody } from './chat.ts'
import { emailBody } from './email-body.ts'
import { Fault } from './fault.ts'

type Body = { type: string; timestamp: string; data: unknown; schemaVersion: number }

export const isPlain = (message: Sendable, recipient: Recipient): boolean =>
  recipient.format === 'RAW' && recipient.selection === null && message.schemaVersion <= recipient.schemaVersion

/** Maximum size of a body. Published events stay below it, but a selection may exceed it. */
export const maxBodyBytes = 256 * 1024

/** Returns the JSON text to send. Throws a Fault if the selection cannot be run now. */
export async function shapeBody(app: App, message: Sendable, recipient: Recipient, body: string): Promise<string> {
  const plain = JSON.parse(body) as Body
  if (recipient.format === 'EMAIL') return emailBody(plain)
  if (recipient.format === 'OEC' || recipient.format === 'OCORE')
    return contractBodies.use(app)[recipient.format].print(plain, recipient.organizationId)
  if (recipient.format !== 'RAW') return chatBody(recipient.format, plain)
  const { version, data } = inVersion(app.domain.eventTypes, message.eventType, message.schemaVersion, plain.data, recipient.schemaVersion)
  const selected = await select(app, message, recipient)
  // A deleted subject can no longer be selected from, so the data of the event is sent instead.
  return JSON.stringify({ ...plain, data: selected ?? data, schemaVersion: version })
}

async function select(app: App, { subjectType, subjectId }: Sendable, recipient: Recipient): Promise<unknown> {
  const { selection, organizationId, projectId, selectionRights } = recipient
  if (selection === null || subjectType === null || subjectId === null) return null
  const port = selectionPort.use(app)
  const rights = { organizationId, projectId, permissions: selectionRights }
  try {
    return await port.run({ selection, subjectType, subjectId, rights })
  } catch (cause) {
    const problem = port.check({ selection, subjectTypes: [subjectType], rights })
    throw new Fault(problem ? `The selection no longer matches the schema: ${problem}.` : 'The selection could not be run.', { cause })
  }
}
