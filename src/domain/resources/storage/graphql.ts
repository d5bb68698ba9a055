import {
  builder,
  columnsOf,
  connectionOf,
  type InputBuilder,
  idField,
  loadRows,
  mutation,
  Node,
  payloadOf,
  rootConnection,
  versionFields,
} from '../../../graphql/builder/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { writeWarningsField } from '../../configuration/variable/graphql.ts'
import { ResourceBinding } from '../resource-binding/graphql.ts'
import { bindingsByResource } from '../resource-binding/index.ts'
import { createBucket, deleteBucket, updateBucket } from './commands.ts'
import { connectBucket } from './connection.ts'
import {
  bucketListing,
  countBuckets,
  findBucketByName,
  findStorageTenant,
  listBuckets,
  type StorageTenantFigures,
  storageAddress,
} from './queries.ts'

const StorageTenant = builder.objectRef<StorageTenantFigures>('StorageTenant').implement({
  description: 'Use of object storage by the organization.',
  fields: (t) => ({
    endpoint: t.exposeString('endpoint', { description: 'Address of the S3 endpoint. Clients use path-style requests.' }),
    region: t.exposeString('region', { description: 'Region that clients sign their requests for.' }),
    maxBuckets: t.exposeInt('maxBuckets', { description: 'Maximum number of buckets.' }),
    maxBytes: t.exposeFloat('maxBytes', { description: 'Maximum total size of all objects in bytes.' }),
    usedBytes: t.exposeFloat('usedBytes', { description: 'Total size of all objects in bytes.' }),
    bucketCount: t.exposeInt('bucketCount', { description: 'Number of buckets.' }),
    keyCount: t.exposeInt('keyCount', { description: 'Number of storage keys.' }),
  }),
})

builder.queryField('storageTenant', (t) =>
  t.field({
    type: StorageTenant,
    description: findStorageTenant.description,
    resolve: (_root, _args, context) => context.call(findStorageTenant, {}),
  }),
)

export const Bucket = builder.prismaObject('Bucket', {
  description: 'A bucket for objects, which S3 clients read and write. It belongs to the organization.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:storage',
  fields: (t) => ({
    id: t.id(idField('Bucket')),
    name: t.exposeString('name', { description: 'Name of the bucket, unique among all organizations.' }),
    public: t.exposeBoolean('public', { description: 'Whether objects can be read without a key. They can never be listed without one.' }),
    corsRules: t.expose('corsRules', {
      type: 'JSON',
      description:
        'CORS rules: a list of objects with `allowedOrigins`, `allowedMethods`, `allowedHeaders`, `exposeHeaders` and `maxAgeSeconds`.',
    }),
    cacheControl: t.exposeString('cacheControl', {
      nullable: true,
      description: '`Cache-Control` header of objects that were stored without one. Null means no header.',
    }),
    sizeBytes: t.exposeFloat('sizeBytes', { description: 'Total size of the objects in bytes.' }),
    objectCount: t.exposeInt('objectCount', { description: 'Number of objects.' }),
    endpoint: t.string({
      description: 'Address of the S3 endpoint.',
      resolve: (_bucket, _args, context) => storageAddress(context.app).endpoint,
    }),
    resourceBindings: t.field({
      type: [ResourceBinding],
      extensions: { rows: 20 },
      description: 'Connections of the bucket to services, oldest first.',
      select: { id: true },
      resolve: ({ id }, _args, context, info) =>
        loadRows(context, 'Bucket.resourceBindings', id, columnsOf(info, 'ResourceBinding'), bindingsByResource),
    }),
    ...versionFields(t),
  }),
})

rootConnection(connectionOf(Bucket, bucketListing), { list: listBuckets, count: countBuckets })

builder.queryField('bucket', (t) =>
  t.field({
    type: Bucket,
    nullable: true,
    description: findBucketByName.description,
    args: {
      id: t.arg.id({ description: 'ID of the bucket.' }),
      name: t.arg.string({ description: 'Name of the bucket.' }),
    },
    resolve: (_root, args, context, info) => context.call(findBucketByName, args, columnsOf(info, 'Bucket')),
  }),
)

const CorsRuleInput = builder.inputType('CorsRuleInput', {
  description: 'Which pages of other origins may access the objects of a bucket.',
  fields: (t) => ({
    allowedOrigins: t.stringList({
      required: true,
      description: 'Origins such as `https://example.com`, with at most one `*` each. From 1 to 50 items.',
    }),
    allowedMethods: t.stringList({ description: '`GET`, `HEAD`, `PUT`, `POST` or `DELETE`. Defaults to `GET` and `HEAD`.' }),
    allowedHeaders: t.stringList({ description: 'Request headers that pages may send, with at most one `*` each. At most 50 items.' }),
    exposeHeaders: t.stringList({ description: 'Response headers that pages may read. At most 50 items.' }),
    maxAgeSeconds: t.int({
      description: 'Time in seconds for which browsers may cache the answer to a preflight request, from 0 to 86400.',
    }),
  }),
})

const idInput = (t: InputBuilder) => ({ id: t.id({ required: true, description: 'ID of the bucket.' }) })
const publicText = 'Whether objects can be read without a key.'

mutation(createBucket, {
  input: (t) => ({
    name: t.string({
      required: true,
      description: 'Name of the bucket: 3 to 63 lowercase letters, digits and hyphens, beginning and ending with a letter or digit.',
    }),
    public: t.boolean({ defaultValue: false, description: publicText }),
  }),
  payload: payloadOf('bucket', Bucket, 'The created bucket.'),
})

mutation(updateBucket, {
  versioned: true,
  input: (t) => ({
    ...idInput(t),
    public: t.boolean({ description: publicText }),
    corsRules: t.field({ type: [CorsRuleInput], description: 'CORS rules, which replace the current ones. At most 20 items.' }),
    cacheControl: t.string({
      description: '`Cache-Control` header of objects that were stored without one, from 1 to 255 characters. Null removes it.',
    }),
  }),
  payload: payloadOf('bucket', Bucket, 'The updated bucket.'),
})

mutation(deleteBucket, {
  versioned: true,
  input: (t) => ({
    ...idInput(t),
    force: t.boolean({
      defaultValue: false,
      description: 'Whether to delete the bucket even if it contains objects or services are connected to it.',
    }),
  }),
  payload: (t) => ({
    deletedId: t.id({ description: 'ID of the deleted bucket.', resolve: (result) => encodeId('Bucket', result.deletedId) }),
  }),
})

mutation(connectBucket, {
  input: (t) => ({
    bucketId: t.id({ required: true, description: 'ID of the bucket.' }),
    webServiceId: t.id({ required: true, description: 'ID of the service.' }),
    prefix: t.string({
      description:
        'Prefix of the variables `<prefix>_ENDPOINT`, `<prefix>_REGION`, `<prefix>_BUCKET`, `<prefix>_ACCESS_KEY_ID` and `<prefix>_SECRET_ACCESS_KEY`: letters, digits and underscores, not starting with a digit. Defaults to `S3`.',
    }),
  }),
  payload: (t) => ({
    resourceBinding: t.field({ type: ResourceBinding, description: 'The created binding.', resolve: (result) => result.resourceBinding }),
    warnings: writeWarningsField(t, 'Warnings about the variables, such as one that is hidden by an environment variable of the service.'),
  }),
})
