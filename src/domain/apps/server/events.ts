import { z } from 'zod'
import type { Server } from '../../../generated/prisma/client.ts'
import { defineEvent } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'
import type { CheckEvent } from './model.ts'

const fields = {
  serverId: z.string().describe('ID of the server.'),
  name: z.string().describe('Name of the server.'),
  host: z.string().nullable().describe('Host name or address. Null for the local server.'),
}
const sample = { serverId: 'srv_01h455vb4pex5vsknk084sn02q', name: 'Rack 4', host: 'rack4.example.com' }

const define = (verb: string, description: string) =>
  defineEvent({ type: `server.${verb}`, version: 1, description, subject: 'Server', schema: z.object(fields), sample })

const defineFailure = (verb: string, description: string) =>
  defineEvent({
    type: `server.${verb}`,
    version: 1,
    description,
    subject: 'Server',
    schema: z.object({ ...fields, code: z.string().describe('Machine-readable reason.'), message: z.string().describe('Reason.') }),
    sample: { ...sample, code: 'TIMEOUT', message: 'rack4.example.com did not accept a connection at port 22 within 10 s.' },
  })

const presented = { expectedFingerprint: 'SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8' }

const created = define('created', 'A server was registered. `server.active` or `server.failed` follows when it was validated.')
const updated = define('updated', 'The name, the connection or the accepted host key of a server changed.')
const deleted = define('deleted', 'A server was removed, with its credentials.')

export const checkEvents = {
  active: define('active', 'A new or changed server was validated: Quayside can log in and has read its facts.'),
  recovered: define('recovered', 'A lost server can be reached again.'),
  failed: defineFailure('failed', 'A new or changed server could not be validated.'),
  lost: defineFailure('lost', 'An active server failed a validation or several checks in a row. It is checked again at growing intervals.'),
  host_key_changed: defineEvent({
    type: 'server.host_key_changed',
    version: 1,
    description: 'A server presented another host key than the pinned one, and was refused. No credentials were sent.',
    subject: 'Server',
    schema: z.object({
      ...fields,
      expectedFingerprint: z.string().describe('Fingerprint of the pinned host key.'),
      presentedFingerprint: z.string().describe('Fingerprint of the host key that was presented.'),
    }),
    sample: { ...sample, ...presented, presentedFingerprint: 'SHA256:uNiVztksCsDhcc0u9e8BrXVeL5jv4cNqbHrPCwSmJqk' },
  }),
} satisfies Record<CheckEvent, unknown>

export const serverEvents = { created, updated, deleted, ...checkEvents }

export const eventOf = ({ id, name, host }: Pick<Server, 'id' | 'name' | 'host'>) => ({
  subjectId: id,
  projectId: null,
  data: { serverId: encodeId('Server', id), name, host },
})
