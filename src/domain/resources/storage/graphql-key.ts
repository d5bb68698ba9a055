import {
  builder,
  columnsOf,
  connectionOf,
  enumType,
  idField,
  loadRows,
  mutation,
  Node,
  payloadOf,
  rootConnection,
  versionFields,
} from '../../../graphql/builder/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { Bucket } from './graphql.ts'
import { createStorageKey, deleteStorageKey } from './key-commands.ts'
import { permissionsOf, type StoragePermissions } from './model.ts'
import { presignObject } from './presign.ts'
import { bucketsByKey, countStorageKeys, listStorageKeys, storageKeyListing } from './queries.ts'

const texts = {
  read: 'Whether objects can be read and listed.',
  write: 'Whether objects can be stored.',
  delete: 'Whether objects can be deleted.',
  admin: 'Whether CORS rules can be changed, and empty buckets deleted, through S3. Does not include the other permissions.',
}

const StorageKeyPermissions = builder.objectRef<StoragePermissions>('StorageKeyPermissions').implement({
  description: 'What a storage key permits in its buckets.',
  fields: (t) => ({
    read: t.exposeBoolean('read', { description: texts.read }),
    write: t.exposeBoolean('write', { description: texts.write }),
    delete: t.exposeBoolean('delete', { description: texts.delete }),
    admin: t.exposeBoolean('admin', { description: texts.admin }),
  }),
})

const StorageKey = builder.prismaObject('StorageKey', {
  description: 'Key that S3 clients sign their requests with. The secret access key is returned only once, at creation.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:storage',
  fields: (t) => ({
    id: t.id(idField('StorageKey')),
    name: t.exposeString('name', { description: 'Name of the storage key.' }),
    accessKeyId: t.exposeString('accessKeyId', { description: 'Access key ID, which is not secret.' }),
    buckets: t.field({
      type: [Bucket],
      extensions: { rows: 5 },
      description: 'Buckets that the key can be used for, oldest first.',
      select: { id: true },
      resolve: ({ id }, _args, context, info) => loadRows(context, 'StorageKey.buckets', id, columnsOf(info, 'Bucket'), bucketsByKey),
    }),
    permissions: t.field({
      type: StorageKeyPermissions,
      description: 'What the key permits.',
      select: { canRead: true, canWrite: true, canDelete: true, canAdmin: true },
      resolve: (key) => permissionsOf(key),
    }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time of last use, accurate to the minute. Null if the key has never been used.',
    }),
    ...versionFields(t),
  }),
})

rootConnection(connectionOf(StorageKey, storageKeyListing), { list: listStorageKeys, count: countStorageKeys })

const StorageKeyPermissionsInput = builder.inputType('StorageKeyPermissionsInput', {
  description: 'What a storage key permits. At least one must be true.',
  fields: (t) => ({
    read: t.boolean({ defaultValue: true, description: texts.read }),
    write: t.boolean({ defaultValue: false, description: texts.write }),
    delete: t.boolean({ defaultValue: false, description: texts.delete }),
    admin: t.boolean({ defaultValue: false, description: texts.admin }),
  }),
})

mutation(createStorageKey, {
  input: (t) => ({
    name: t.string({ required: true, description: 'Name of the storage key, from 1 to 100 characters.' }),
    bucketIds: t.idList({ required: true, description: 'IDs of the buckets that the key can be used for, from 1 to 100 items.' }),
    permissions: t.field({ type: StorageKeyPermissionsInput, required: true, description: 'What the key permits.' }),
  }),
  payload: (t) => ({
    ...payloadOf('storageKey', StorageKey, 'The created storage key.')(t),
    secretAccessKey: t.exposeString('secretAccessKey', {
      nullable: true,
      description: 'Secret access key, returned only once. Null when a request is repeated with the same idempotency key.',
    }),
  }),
})

mutation(deleteStorageKey, {
  versioned: true,
  input: (t) => ({ id: t.id({ required: true, description: 'ID of the storage key.' }) }),
  payload: (t) => ({
    deletedId: t.id({ description: 'ID of the deleted storage key.', resolve: (result) => encodeId('StorageKey', result.deletedId) }),
  }),
})

const PresignMethod = enumType('PresignMethod', 'What a presigned URL is for.', {
  GET: 'Reads an object.',
  PUT: 'Stores an object.',
})

mutation(presignObject, {
  input: (t) => ({
    bucketId: t.id({ required: true, description: 'ID of the bucket.' }),
    key: t.string({
      required: true,
      description: 'Key of the object, from 1 to 1024 bytes, without control characters and the path segments `.` and `..`.',
    }),
    method: t.field({ type: PresignMethod, required: true, description: 'What the URL is for.' }),
    expiresInSeconds: t.int({ defaultValue: 600, description: 'Time in seconds until the URL expires, from 1 to 86400.' }),
    contentType: t.string({
      description: 'Media type, such as `image/png`, that the request must then send as its `Content-Type` header. Null means any.',
    }),
  }),
  payload: (t) => ({
    url: t.exposeString('url', {
      nullable: true,
      description: 'Signed URL. Null when a request is repeated with the same idempotency key.',
    }),
    method: t.expose('method', { type: PresignMethod, description: 'What the URL is for.' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'Time when the URL expires.' }),
    headers: t.expose('headers', { type: 'JSON', description: 'Headers that must be sent with the request, by name.' }),
  }),
})
