import { z } from 'zod'
import type { Server } from '../../../generated/prisma/client.ts'
import { changes, defineCommand, demandOrganization, ofOrganization } from '../../../platform/command.ts'
import { assignments, newRow, row, run, sql, violated } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { encodeId, newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { startOperation } from '../../access/operation/index.ts'
import { normalPrivateKey } from '../../access/ssh-key/index.ts'
import { serverErrors } from './errors.ts'
import { eventOf, serverEvents } from './events.ts'
import { createServerSchema, credentialIdentity, fingerprintSchema, serversTopic, shown, updateServerSchema } from './model.ts'
import { serverListing } from './queries.ts'

/** Locks a server within the caller's scope. Null if it does not exist or is being removed. */
const lockServer = ({ tx, caller }: Work, id: string): Promise<Server | null> =>
  row<Server>(
    tx,
    sql`select t.* from server t where t.id = ${id}::uuid and ${ofOrganization(caller, sql`t`)} and t.status <> 'REMOVING' for update`,
  )

/** What every change of the connection has to set: a validation is due, and the result of a check in progress is outdated. */
const due = (server: Pick<Server, 'revision'>) => ({
  ...{ failureCode: null, statusMessage: null, failures: 0, revision: server.revision + 1 },
  nextCheckAt: sql`app_now()`,
})

/** The connection is another one, which has not been validated. */
const unvalidated = { status: 'PENDING' as const, validatedAt: null, lostAt: null }

async function writeRow(statement: Promise<Server | null>): Promise<Server> {
  try {
    return (await statement)!
  } catch (error) {
    if (violated(error)?.constraint !== 'server_organization_id_name_key') throw error
    throw serverErrors.server_name_taken({ field: 'name', cause: error })
  }
}

type GivenCredential = { sshPassword?: string | null | undefined; sshPrivateKey?: string | null | undefined }

/** Null if none is given. A private key is stored in the one format that the driver reads. */
async function sealCredential({ app, tx }: Work, server: Pick<Server, 'id' | 'organizationId'>, given: GivenCredential) {
  const text = given.sshPassword ?? (given.sshPrivateKey ? await normalPrivateKey(given.sshPrivateKey, 'sshPrivateKey') : null)
  return text === null ? null : app.keyring.seal(tx, server.organizationId, credentialIdentity(server.id), text)
}

export const createServer = defineCommand({
  name: 'createServer',
  description:
    'Registers a server that is reached over SSH, and returns it with the status `PENDING`. Its validation begins at once: Quayside logs in and reads the facts of the machine; see `status`. The host key that the server proves to have is pinned when it is first seen. Nothing can be placed on the server yet.',
  permission: 'manage:servers',
  ids: {},
  targetType: 'Server',
  input: createServerSchema,
  emits: [serverEvents.created],
  async run(work, { name, host, port, sshUser, authMethod, ...given }) {
    demandOrganization(work.caller, 'register servers')
    const [id, { organizationId }] = [newId(), work.caller]
    const credential = await sealCredential(work, { id, organizationId }, given)
    const fields = { id, organizationId, name, kind: 'ssh', host, port, sshUser, authMethod, credential }
    const server = await writeRow(
      row<Server>(work.tx, sql`insert into server ${newRow({ ...fields, status: 'PENDING', nextCheckAt: sql`app_now()` })} returning *`),
    )
    await publish(work, serverEvents.created, eventOf(server))
    work.wake(serversTopic)
    return { server: shown(server) }
  },
})

const credentialText = 'authMethod: is required with another host or port, with sshPassword or sshPrivateKey'

export const updateServer = defineCommand({
  name: 'updateServer',
  description:
    'Updates a server. Omitted fields are left unchanged. A change of the connection sets the status to `PENDING` and validates the server again. Another host or port requires the credential, and the host key is pinned anew. The local server can only be renamed.',
  permission: 'manage:servers',
  ids: { id: 'Server' },
  targetType: 'Server',
  target: (work, { id }) => lockServer(work, id!),
  input: updateServerSchema,
  emits: [serverEvents.updated],
  async run(work, input, target: Server) {
    const { name, host, port, sshUser, authMethod, ...given } = input
    const place = { host: host ?? undefined, port: port ?? undefined }
    const login = { sshUser: sshUser ?? undefined, authMethod: authMethod ?? undefined }
    const named = { name: name ?? undefined }
    const isGiven = (values: object) => Object.values(values).some((value) => value !== undefined)
    if (target.kind === 'local' && isGiven({ ...place, ...login })) throw serverErrors.server_is_local({ field: 'id' })
    const isMoved = changes(target, place)
    // Otherwise, a credential could be sent to a host that its owner did not mean.
    if (isMoved && !login.authMethod) throw errors.invalid_input({ field: 'authMethod', text: credentialText })
    const credential = await sealCredential(work, target, given)
    const isReconnected = isMoved || credential !== null || changes(target, login)
    if (!isReconnected && !changes(target, named)) return { server: shown(target) }
    const forgotten = { presentedHostKeyType: null, presentedHostKeyFingerprint: null }
    const set = assignments({
      ...{ ...named, ...place, ...login, credential: credential ?? undefined, version: target.version + 1 },
      ...(isReconnected ? { ...due(target), ...unvalidated } : {}),
      ...(isMoved ? { ...forgotten, hostKeyType: null, hostKeyFingerprint: null } : {}),
    })
    const server = await writeRow(row<Server>(work.tx, sql`update server set ${set} where id = ${target.id}::uuid returning *`))
    await publish(work, serverEvents.updated, eventOf(server))
    work.wake(serversTopic)
    return { server: shown(server) }
  },
  audited: ({ authMethod }) => ({ credentialChanged: Boolean(authMethod) }),
})

export const validateServer = defineCommand({
  name: 'validateServer',
  description:
    'Validates a server: connects, logs in and reads the facts of the machine, in the background. The returned operation is complete when the server is `ACTIVE`, and fails with the reason otherwise.',
  permission: 'manage:servers',
  ids: { id: 'Server' },
  targetType: 'Server',
  target: (work, { id }) => lockServer(work, id!),
  input: z.object({}),
  emits: [],
  async run(work, _input, target: Server) {
    const server = target.kind === 'local' ? target : await markValidating(work, target)
    return { server: shown(server), operation: await operate(work, 'validateServer', target) }
  },
  audited: (_input, { operation }) => ({ operationId: encodeId('Operation', operation.id) }),
})

async function markValidating(work: Work, server: Server): Promise<Server> {
  work.wake(serversTopic)
  const set = assignments({ ...due(server), status: 'VALIDATING', failures: server.failures })
  return (await row<Server>(work.tx, sql`update server set ${set} where id = ${server.id}::uuid returning *`))!
}

const operate = (work: Work, type: 'validateServer' | 'deleteServer', { id }: Server) =>
  startOperation(work, { type, projectId: null, subjectId: id, input: {}, totalSteps: 1 })

export const deleteServer = defineCommand({
  name: 'deleteServer',
  description:
    'Removes a server and its credentials. Its status is `REMOVING` until the returned operation is complete. Nothing is changed on the machine. Fails with `server_is_local` for the local server.',
  permission: 'delete:servers',
  ids: { id: 'Server' },
  targetType: 'Server',
  target: (work, { id }) => lockServer(work, id!),
  input: z.object({}),
  emits: [],
  async run(work, _input, target: Server) {
    if (target.kind === 'local') throw serverErrors.server_is_local({ field: 'id' })
    const set = assignments({ ...due(target), status: 'REMOVING', credential: null, nextCheckAt: null, version: target.version + 1 })
    await run(work.tx, sql`update server set ${set} where id = ${target.id}::uuid`)
    return { deletedId: target.id, operation: await operate(work, 'deleteServer', target) }
  },
  audited: (_input, { operation }) => ({ operationId: encodeId('Operation', operation.id) }),
})

export const acceptServerHostKey = defineCommand({
  name: 'acceptServerHostKey',
  description:
    'Pins the host key that a server presented instead of the pinned one, and validates the server again. Compare the fingerprint with that of the machine first (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`). Fails with `host_key_not_presented` if the fingerprint is not `presentedHostKeyFingerprint`.',
  permission: 'manage:servers',
  ids: { id: 'Server' },
  targetType: 'Server',
  target: (work, { id }) => lockServer(work, id!),
  input: z.object({ fingerprint: fingerprintSchema }),
  emits: [serverEvents.updated],
  async run(work, { fingerprint }, target: Server) {
    if (target.presentedHostKeyFingerprint !== fingerprint) throw serverErrors.host_key_not_presented({ field: 'fingerprint' })
    const set = assignments({
      ...{ ...due(target), status: 'PENDING', version: target.version + 1 },
      ...{ hostKeyType: target.presentedHostKeyType, hostKeyFingerprint: fingerprint },
      ...{ presentedHostKeyType: null, presentedHostKeyFingerprint: null },
    })
    const server = (await row<Server>(work.tx, sql`update server set ${set} where id = ${target.id}::uuid returning *`))!
    await publish(work, serverEvents.updated, eventOf(server))
    work.wake(serversTopic)
    return { server: shown(server) }
  },
})

/** Throws unless services can be placed on a server that the caller may see: `not_found` or `placement_unsupported`. */
export async function demandPlaceable({ tx, caller }: Work, serverId: string): Promise<void> {
  const server = (await serverListing.find({ tx, caller, columns: ['kind'] }, [serverId]))[0]
  if (!server) throw errors.not_found({ field: 'serverId' })
  if (server.kind !== 'local') throw serverErrors.placement_unsupported({ field: 'serverId' })
}
