import { builder, connectionOf, enumType, idField, mutation, Node, rootConnection, timestamps } from '../../../graphql/builder/index.ts'
import { administration } from '../../../platform/access.ts'
import { exportAuditLog } from './export.ts'
import { actorIdOf, hexOf, shownColumns, targetIdOf } from './model.ts'
import { auditEntryListing, countAuditLog, listAuditLog, prepareAuditLog } from './queries.ts'
import { verifyAuditLog } from './verify.ts'

const AuditOutcome = enumType('AuditOutcome', 'Outcome of an action.', {
  SUCCEEDED: 'The action took effect.',
  DENIED: 'The caller did not have the required permission.',
  FAILED: 'The action failed because of a limit, a fault of Quayside, or a failure of something that it depends on.',
})

const AuditEntry = builder.prismaObject('AuditEntry', {
  description: 'A record of an action: who did what to which object. Entries cannot be changed.',
  interfaces: [Node],
  select: { id: true },
  permission: ['view:audit_logs', administration],
  fields: (t) => ({
    id: t.id(idField('AuditEntry')),
    position: t.string({
      description: 'Number of the entry in the audit log of the organization, starting at 1, without gaps.',
      select: { position: true },
      resolve: ({ position }) => String(position),
    }),
    timestamp: t.expose('createdAt', { type: 'DateTime', description: 'Time of the action.' }),
    action: t.exposeString('action', { description: 'Name of the mutation, query or background step, such as `createProject`.' }),
    outcome: t.expose('outcome', { type: AuditOutcome, description: 'Outcome of the action.' }),
    targetType: t.exposeString('targetType', { nullable: true, description: 'Type of the object that the action was about.' }),
    targetId: t.id({
      nullable: true,
      description: 'ID of the object that the action was about. It may no longer exist.',
      select: { targetType: true, targetId: true },
      resolve: targetIdOf,
    }),
    targetName: t.exposeString('targetName', {
      nullable: true,
      description: 'Name of the object at the time of the action, before any change.',
    }),
    actorType: t.exposeString('actorType', {
      description: 'Who acted: `user`, `api_key`, `storage_key` through S3, or `system` for Quayside itself.',
    }),
    actorId: t.id({
      nullable: true,
      description: 'ID of the user or API key that acted. Null for Quayside itself.',
      select: { actorType: true, actorId: true },
      resolve: actorIdOf,
    }),
    actorName: t.exposeString('actorName', { description: 'Name of the actor at the time of the action.' }),
    ipAddress: t.exposeString('ipAddress', { nullable: true, description: 'IP address of the client. Null for background work.' }),
    userAgent: t.exposeString('userAgent', {
      nullable: true,
      description: 'User agent of the client, at most 256 characters. Null if the client sent none.',
    }),
    door: t.exposeString('door', {
      nullable: true,
      description:
        'API that the client used: `graphql`, `websocket`, or the name of a REST API such as `platform`. Null for background work.',
    }),
    requestId: t.exposeString('requestId', { nullable: true, description: 'ID of the request. Null for background work.' }),
    before: t.field({
      type: 'JSON',
      nullable: true,
      description:
        'Fields that changed, with their values before the action. Null if nothing changed or the object was created. Never contains secret values.',
      select: { before: true },
      resolve: ({ before }) => shownColumns(before),
    }),
    after: t.field({
      type: 'JSON',
      nullable: true,
      description:
        'Fields that changed, with their values after the action. Null if nothing changed or the object was deleted. Never contains secret values.',
      select: { after: true },
      resolve: ({ after }) => shownColumns(after),
    }),
    details: t.expose('details', { type: 'JSON', description: 'Further details, such as the reason for a failure.' }),
    hash: t.string({
      nullable: true,
      description: 'SHA-256 over `previousHash` and the fields of the entry, in hexadecimal.',
      select: { hash: true },
      resolve: ({ hash }) => hexOf(hash),
    }),
    previousHash: t.string({
      nullable: true,
      description: 'Hash of the entry before this one, in hexadecimal. Null for the first entry.',
      extensions: { columns: ['previousHash'] },
      resolve: (entry) => hexOf((entry as unknown as { previousHash: Uint8Array | null }).previousHash),
    }),
    createdAt: t.expose('createdAt', timestamps.createdAt),
    updatedAt: t.expose('createdAt', timestamps.updatedAt),
  }),
})

export const auditEntries = connectionOf(AuditEntry, auditEntryListing)

export const auditFilters = builder.args((t) => ({
  action: t.string({ description: 'Return only entries of this action, such as `createProject`.' }),
  targetType: t.string({ description: 'Return only entries about objects of this type, such as `Project`.' }),
  targetId: t.id({ description: 'Return only entries about this object.' }),
  actorId: t.id({ description: 'Return only entries of this user or API key.' }),
  outcome: t.field({ type: AuditOutcome, description: 'Return only entries with this outcome.' }),
  since: t.field({ type: 'DateTime', description: 'Return only entries at or after this time.' }),
  until: t.field({ type: 'DateTime', description: 'Return only entries before this time.' }),
}))

rootConnection(auditEntries, { list: listAuditLog, count: countAuditLog, check: prepareAuditLog, args: auditFilters })

const positionText = (position: bigint | null): string | null => (position === null ? null : String(position))

mutation(verifyAuditLog, {
  input: (t) => ({
    from: t.string({ description: 'First position to verify. Defaults to that of the oldest entry.' }),
    to: t.string({ description: 'Last position to verify. Defaults to that of the newest entry.' }),
  }),
  payload: (t) => ({
    valid: t.exposeBoolean('valid', { description: 'Whether the verified entries are as they were written, and complete.' }),
    checked: t.exposeInt('checked', { description: 'Number of entries that were verified.' }),
    brokenAt: t.string({
      nullable: true,
      description: 'First position whose entry was changed, removed, inserted or moved. Null if there is none.',
      resolve: ({ brokenAt }) => positionText(brokenAt),
    }),
    from: t.string({
      nullable: true,
      description:
        'First position that was verified. Entries before it have been removed because of their age. Null if there are no entries.',
      resolve: ({ from }) => positionText(from),
    }),
    to: t.string({
      nullable: true,
      description: 'Last position that was verified. Null if there are no entries.',
      resolve: ({ to }) => positionText(to),
    }),
  }),
})

const AuditLogFormat = enumType('AuditLogFormat', 'Format of an export of the audit log.', {
  NDJSON: 'A JSON object per line.',
  CSV: 'Comma-separated values with a header line.',
})

mutation(exportAuditLog, {
  input: (t) => ({
    format: t.field({ type: AuditLogFormat, required: true, description: 'Format of the export.' }),
    action: t.string({ description: 'Export only entries of this action, such as `createProject`.' }),
    targetType: t.string({ description: 'Export only entries about objects of this type, such as `Project`.' }),
    targetId: t.id({ description: 'Export only entries about this object.' }),
    actorId: t.id({ description: 'Export only entries of this user or API key.' }),
    outcome: t.field({ type: AuditOutcome, description: 'Export only entries with this outcome.' }),
    since: t.field({ type: 'DateTime', description: 'Export only entries at or after this time.' }),
    until: t.field({ type: 'DateTime', description: 'Export only entries before this time.' }),
  }),
  payload: (t) => ({
    url: t.exposeString('url', {
      nullable: true,
      description:
        'Link to download the export, valid until `expiresAt`. Relative to the address of the API unless the setting `PUBLIC_URL` is set. Null when a request is repeated with the same idempotency key.',
    }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'Time until which the link is valid.' }),
  }),
})
