import { validate } from 'uuid'
import type { AuditEntry } from '../../../generated/prisma/client.ts'
import { encodeId, type IdType, isIdType } from '../../../platform/id.ts'

/** An entry with the hash of the one before it. */
export type ShownEntry = AuditEntry & { previousHash: Uint8Array | null }

const actorTypes: Record<string, IdType> = { user: 'User', api_key: 'ApiKey' }

/** The public id of an object, which may no longer exist. A type that this version does not know has the UUID. */
const publicId = (type: string | null | undefined, uuid: string | null): string | null =>
  uuid !== null && type && isIdType(type) ? encodeId(type, uuid) : uuid

export const actorIdOf = ({ actorType, actorId }: Pick<AuditEntry, 'actorType' | 'actorId'>) => publicId(actorTypes[actorType], actorId)

export const targetIdOf = ({ targetType, targetId }: Pick<AuditEntry, 'targetType' | 'targetId'>) => publicId(targetType, targetId)

export const hexOf = (hash: Uint8Array | null): string | null => hash && Buffer.from(hash).toString('hex')

/** Columns of a row as the API names them: `projectId` is the public id of a project. */
export function shownColumns(columns: unknown): unknown {
  if (columns === null || typeof columns !== 'object') return columns
  return Object.fromEntries(
    Object.entries(columns).map(([name, value]) => [
      name,
      typeof value === 'string' && validate(value) ? publicId(typeNamed(name), value) : value,
    ]),
  )
}

/** `webServiceId` names a WebService. */
const typeNamed = (name: string): string => name[0]!.toUpperCase() + name.slice(1).replace(/Id$/, '')

/** An entry as an export contains it. What is hashed as JSON is unchanged, so that the chain can be verified from the export alone. */
export const exported = (entry: ShownEntry) => ({
  id: encodeId('AuditEntry', entry.id),
  position: String(entry.position),
  timestamp: entry.createdAt.toISOString(),
  action: entry.action,
  outcome: entry.outcome,
  actorType: entry.actorType,
  actorId: actorIdOf(entry),
  actorName: entry.actorName,
  userId: publicId('User', entry.userId),
  targetType: entry.targetType,
  targetId: targetIdOf(entry),
  targetName: entry.targetName,
  ipAddress: entry.ipAddress,
  userAgent: entry.userAgent,
  door: entry.door,
  requestId: entry.requestId,
  before: entry.before,
  after: entry.after,
  details: entry.details,
  hash: hexOf(entry.hash),
  previousHash: hexOf(entry.previousHash),
})

export type Exported = ReturnType<typeof exported>
