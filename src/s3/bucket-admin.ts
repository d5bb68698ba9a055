/** Changes of buckets by keys with the permission `admin`, through the commands of the API, so that they cause the same events and audit entries. */
import { type CorsRule, deleteBucket, type SigningKey, updateBucket } from '../domain/resources/storage/index.ts'
import type { Caller } from '../platform/access.ts'
import { execute, type Request } from '../platform/command.ts'
import { readCheckedText } from './body.ts'
import { S3Error } from './error.ts'
import { type BucketExchange, sendEmpty } from './exchange.ts'
import { childrenOf, fromXml, optionalText, type XmlElement } from './xml.ts'

export async function putCors(exchange: BucketExchange): Promise<void> {
  const document = fromXml(await readCheckedText(exchange), 'CORSConfiguration')
  const corsRules = childrenOf(document, 'CORSRule').map(ruleOf)
  if (corsRules.length === 0) throw new S3Error('MalformedXML', 'A CORS configuration must have a rule.')
  await execute(requestOf(exchange), updateBucket, { id: exchange.bucket.id, corsRules })
  sendEmpty(exchange, 200)
}

export async function deleteCors(exchange: BucketExchange): Promise<void> {
  await execute(requestOf(exchange), updateBucket, { id: exchange.bucket.id, corsRules: [] })
  sendEmpty(exchange, 204)
}

export async function remove(exchange: BucketExchange): Promise<void> {
  await execute(requestOf(exchange), deleteBucket, { id: exchange.bucket.id })
  sendEmpty(exchange, 204)
}

function ruleOf(element: XmlElement): CorsRule {
  const texts = (name: string) => childrenOf(element, name).map(({ text }) => text)
  const maxAge = optionalText(element, 'MaxAgeSeconds')
  return {
    allowedOrigins: texts('AllowedOrigin'),
    allowedMethods: texts('AllowedMethod'),
    allowedHeaders: texts('AllowedHeader'),
    exposeHeaders: texts('ExposeHeader'),
    maxAgeSeconds: maxAge === null ? null : Number(maxAge),
  }
}

const requestOf = ({ app, key, requestId }: BucketExchange): Request => ({ app, caller: callerOf(key!), requestId })

const callerOf = ({ id, name, organizationId }: SigningKey): Caller => ({
  subject: { type: 'storage_key', id, name },
  userId: null,
  organizationId,
  permissions: new Set(['manage:storage', 'delete:storage']),
  apiKeyId: null,
  sessionId: null,
  projectIds: null,
})
