/** Operations on buckets, and the questions about features that buckets do not have. */

import { type CorsRule, findBucket, listBucketsOfKey } from '../domain/resources/storage/index.ts'
import { deleteObjects, requireKey } from '../domain/resources/stored-object/index.ts'
import { readCheckedText } from './body.ts'
import { S3Error, type S3ErrorCode } from './error.ts'
import { type BucketExchange, type Exchange, sendEmpty, sendXml } from './exchange.ts'
import { maxKeys, ownerOf } from './listing.ts'
import { childrenOf, fromXml, optionalText, textOf } from './xml.ts'

export async function listBuckets(exchange: Exchange): Promise<void> {
  const { app, key } = exchange
  if (!key) throw new S3Error('AccessDenied', 'The request must be signed.')
  const buckets = await listBucketsOfKey(app.db, key)
  sendXml(exchange, 'ListAllMyBucketsResult', {
    Owner: ownerOf(key.organizationId),
    Buckets: { Bucket: buckets.map(({ name, createdAt }) => ({ Name: name, CreationDate: createdAt.toISOString() })) },
  })
}

export const headBucket = async (exchange: BucketExchange): Promise<void> =>
  sendEmpty(exchange, 200, { 'x-amz-bucket-region': exchange.app.settings.STORAGE_REGION })

/** The region `us-east-1` is written as an empty element. */
export async function location(exchange: BucketExchange): Promise<void> {
  const region = exchange.app.settings.STORAGE_REGION
  sendXml(exchange, 'LocationConstraint', region === 'us-east-1' ? {} : { '#text': region })
}

/** A document without content, for a feature that is off. */
export const empty =
  (root: string, content: Record<string, string> = {}) =>
  async (exchange: BucketExchange): Promise<void> =>
    sendXml(exchange, root, content)

/** For a feature without a configuration. */
export const none = (code: S3ErrorCode, message: string) => async (): Promise<void> => {
  throw new S3Error(code, message)
}

/** The owner has all rights; a public bucket can also be read by everyone. */
export async function acl(exchange: BucketExchange): Promise<void> {
  const owner = ownerOf(exchange.bucket.organizationId)
  const grants = [{ Grantee: { ...grantee('CanonicalUser'), ...owner }, Permission: 'FULL_CONTROL' }]
  const everyone = { Grantee: { ...grantee('Group'), URI: 'http://acs.amazonaws.com/groups/global/AllUsers' }, Permission: 'READ' }
  const isReadable = exchange.bucket.public && exchange.s3.key !== ''
  sendXml(exchange, 'AccessControlPolicy', { Owner: owner, AccessControlList: { Grant: [...grants, ...(isReadable ? [everyone] : [])] } })
}

const grantee = (type: string) => ({ '@xmlns:xsi': 'http://www.w3.org/2001/XMLSchema-instance', '@xsi:type': type })

export async function cors(exchange: BucketExchange): Promise<void> {
  const rules = exchange.bucket.corsRules
  if (rules.length === 0) throw new S3Error('NoSuchCORSConfiguration', 'The bucket has no CORS configuration.')
  sendXml(exchange, 'CORSConfiguration', { CORSRule: rules.map(corsRule) })
}

const corsRule = (rule: CorsRule) => ({
  AllowedOrigin: rule.allowedOrigins,
  AllowedMethod: rule.allowedMethods,
  AllowedHeader: rule.allowedHeaders,
  ExposeHeader: rule.exposeHeaders,
  ...(rule.maxAgeSeconds === null ? {} : { MaxAgeSeconds: rule.maxAgeSeconds }),
})

/** Deletes up to 1,000 objects. */
export async function deleteMany(exchange: BucketExchange): Promise<void> {
  const { app, bucket } = exchange
  const document = fromXml(await readCheckedText(exchange), 'Delete')
  const entries = childrenOf(document, 'Object')
  if (entries.length === 0 || entries.length > maxKeys) throw new S3Error('MalformedXML', `A request deletes 1 to ${maxKeys} objects.`)
  const isQuiet = optionalText(document, 'Quiet') === 'true'
  const keys = entries.map((entry) => textOf(entry, 'Key'))
  const failures = keys.flatMap((key) => failureOf(key) ?? [])
  const valid = keys.filter((key) => failureOf(key) === null)
  if (valid.length > 0) await deleteObjects(app, bucket, valid)
  sendXml(exchange, 'DeleteResult', { Deleted: isQuiet ? [] : valid.map((key) => ({ Key: key })), Error: failures })
}

function failureOf(key: string): { Key: string; Code: string; Message: string } | null {
  try {
    requireKey(key)
    return null
  } catch (error) {
    const { code, message } = error as { code: string; message: string }
    return { Key: key, Code: code, Message: message }
  }
}

/** Buckets are created by the API: a key is for the buckets that it names, which a new one is not. */
export async function createBucket({ app, key, s3 }: Exchange): Promise<void> {
  const bucket = key && (await findBucket(app.db, s3.bucket!))
  if (key && bucket && key.bucketIds.has(bucket.id)) throw new S3Error('BucketAlreadyOwnedByYou', 'The bucket exists already.')
  throw new S3Error('AccessDenied', 'Storage keys cannot create buckets. Create the bucket with the API, then a key for it.')
}
