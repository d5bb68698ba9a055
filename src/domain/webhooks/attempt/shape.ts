/** What an endpoint is sent where that isn't the message's own body: an older schema version, its selection, or a chat's format. */
import type { App } from '../../../platform/work.ts'
import { type Recipient, selectionPort } from '../endpoint/index.ts'
import { inVersion } from '../event-type/index.ts'
import type { Sendable } from '../message/index.ts'
import { chatBody } from './chat.ts'

type Body = { type: string; timestamp: string; data: unknown; schemaVersion: number }

export const isPlain = (message: Sendable, recipient: Recipient): boolean =>
  recipient.format === 'RAW' && recipient.selection === null && message.schemaVersion <= recipient.schemaVersion

/** The JSON text to send. Throws when the selection can't be run at present. */
export async function shapeBody(app: App, message: Sendable, recipient: Recipient, body: string): Promise<string> {
  const plain = JSON.parse(body) as Body
  if (recipient.format !== 'RAW') return chatBody(recipient.format, plain)
  const { version, data } = inVersion(message.eventType, message.schemaVersion, plain.data, recipient.schemaVersion)
  const selected = await select(app, message, recipient)
  // What is gone can't be asked any more; then the event itself says what there is to say.
  return JSON.stringify({ ...plain, data: selected ?? data, schemaVersion: version })
}

async function select(app: App, { subjectType, subjectId }: Sendable, recipient: Recipient): Promise<unknown> {
  const { selection, organizationId, projectId, selectionRights } = recipient
  if (selection === null || subjectType === null || subjectId === null) return null
  return selectionPort
    .use(app)
    .run({ selection, subjectType, subjectId, rights: { organizationId, projectId, permissions: selectionRights } })
}
