/** From a request to its operation: who sends it, what it asks for, and whether that is permitted. */
import { findBucket } from '../domain/resources/storage/index.ts'
import { authenticate, requireBucket } from './authorize.ts'
import * as buckets from './bucket.ts'
import { crossOriginHeaders, preflight } from './cors.ts'
import { accessDenied, S3Error } from './error.ts'
import type { Exchange } from './exchange.ts'
import { isBucketCreation, operationOf } from './operation.ts'

/** Answers a request. Throws what it is refused for. `name` is told the operation as soon as it is known. */
export async function dispatch(request: Exchange, name: (operation: string) => void): Promise<void> {
  const { app, s3, response } = request
  if (s3.method === 'OPTIONS') {
    name('Preflight')
    return answerPreflight(request)
  }
  // Clients sign the creation of a bucket for the region that they want it in. That it is refused says more than that the region is wrong.
  const region = isBucketCreation(s3) ? null : app.settings.STORAGE_REGION
  const signed = await authenticate(app, s3, region)
  const exchange: Exchange = signed ? { ...request, ...signed } : request
  if (s3.bucket === null) {
    if (s3.method !== 'GET') throw new S3Error('MethodNotAllowed', 'The method is not allowed for this resource.')
    name('ListBuckets')
    return buckets.listBuckets(exchange)
  }
  if (isBucketCreation(s3)) {
    name('CreateBucket')
    return buckets.createBucket(exchange)
  }
  const operation = operationOf(exchange)
  name(operation.name)
  const { permission, isPublic = false } = operation
  const bucket = await requireBucket(app, exchange.key, s3.bucket, permission, { isPublic })
  for (const [header, value] of Object.entries(crossOriginHeaders(bucket.corsRules, exchange.request))) response.setHeader(header, value)
  await operation.run({ ...exchange, bucket })
}

/** A preflight is not signed. That a bucket does not exist is answered like that it permits nothing. */
async function answerPreflight({ app, s3, request, response }: Exchange): Promise<void> {
  const bucket = s3.bucket === null ? null : await findBucket(app.db, s3.bucket)
  const headers = bucket && preflight(bucket.corsRules, request)
  if (!headers) throw accessDenied('This request is not permitted by the CORS rules of the bucket.')
  response.writeHead(200, { ...headers, 'content-length': '0' })
  response.end()
}
