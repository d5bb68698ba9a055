/**
 * AWS Signature Version 4 for S3: reads and verifies the signature of a request, in its headers or in its query string, and presigns URLs.
 * Canonical requests and signing keys are those of AWS's own library, which is loaded at first use.
 */
import { createHash, createHmac, type Hash, type Hmac, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

/** Codes of S3, in the texts of `SignatureError`. */
export type SignatureErrorCode =
  | 'AccessDenied'
  | 'AuthorizationHeaderMalformed'
  | 'AuthorizationQueryParametersError'
  | 'InvalidArgument'
  | 'MissingSecurityHeader'
  | 'RequestTimeTooSkewed'
  | 'SignatureDoesNotMatch'

/** Why the signature of a request is refused. The message may be shown to the client. */
export class SignatureError extends Error {
  override readonly name = 'SignatureError'
  readonly code: SignatureErrorCode
  constructor(code: SignatureErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

/** A request as it was received. `path` is the decoded path, `query` the decoded parameters in their order. */
export type ReceivedRequest = {
  method: string
  path: string
  query: readonly (readonly [name: string, value: string])[]
  headers: IncomingHttpHeaders
}

/** What a request says about its signature. Nothing of it has been verified. */
export type Claim = {
  accessKeyId: string
  isPresigned: boolean
  /** Time of the signature, such as 20260101T000000Z. */
  longDate: string
  region: string
  signedHeaders: readonly string[]
  signature: string
  /** Only of presigned URLs. */
  expiresInSeconds: number
  /** Hash of the body, or a word for how the body is signed, such as UNSIGNED-PAYLOAD. */
  payload: string
}

export const unsignedPayload = 'UNSIGNED-PAYLOAD'
export const emptySha256 = createHash('sha256').digest('hex')
const algorithm = 'AWS4-HMAC-SHA256'
const service = 's3'
const maxSkewMs = 15 * 60_000
export const maxExpirySeconds = 7 * 24 * 3_600

/** Node's hashes in the form that the library takes. With a secret, an HMAC. */
class Sha256 {
  readonly #hash: Hash | Hmac
  constructor(secret?: string | ArrayBufferView | ArrayBuffer) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret as string | Uint8Array)
  }
  update(data: Uint8Array): void {
    this.#hash.update(data)
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest()
  }
  reset(): void {}
}

/**
 * What a request says about its signature; null if it has none. Throws SignatureError if that is malformed or not for this region. Null: for any
 * region; the signature is still verified with the one that it names.
 */
export function readClaim(request: ReceivedRequest, region: string | null): Claim | null {
  const { authorization } = request.headers
  const ofQuery = request.query.some(([name]) => name === 'X-Amz-Algorithm' || name === 'X-Amz-Signature')
  if (authorization === undefined && !ofQuery) return null
  if (authorization !== undefined && ofQuery)
    throw new SignatureError(
      'InvalidArgument',
      'Only one authentication mechanism is allowed: the Authorization header or X-Amz-Signature.',
    )
  const claim = ofQuery ? claimOfQuery(request) : claimOfHeader(request, authorization!)
  const malformed = claim.isPresigned ? 'AuthorizationQueryParametersError' : 'AuthorizationHeaderMalformed'
  if (region !== null && claim.region !== region)
    throw new SignatureError(malformed, `The region '${claim.region}' is wrong; expecting '${region}'.`)
  if (!claim.signedHeaders.includes('host')) throw new SignatureError(malformed, 'The host header must be signed.')
  return claim
}

function claimOfHeader({ headers }: ReceivedRequest, authorization: string): Claim {
  const malformed = (message: string) => new SignatureError('AuthorizationHeaderMalformed', message)
  if (!authorization.startsWith(`${algorithm} `))
    throw new SignatureError('InvalidArgument', `Unsupported authorization type. Requests must be signed with ${algorithm}.`)
  const fields = new Map(
    authorization
      .slice(algorithm.length + 1)
      .split(',')
      .map((field) => {
        const at = field.indexOf('=')
        return [field.slice(0, at).trim(), field.slice(at + 1).trim()] as const
      }),
  )
  const [credential, signedHeaders, signature] = ['Credential', 'SignedHeaders', 'Signature'].map((name) => fields.get(name))
  if (!credential || !signedHeaders || !signature)
    throw malformed('The authorization header must contain Credential, SignedHeaders and Signature.')
  const payload = headers['x-amz-content-sha256']
  if (typeof payload !== 'string') throw new SignatureError('MissingSecurityHeader', 'The header x-amz-content-sha256 is required.')
  const longDate = typeof headers['x-amz-date'] === 'string' ? headers['x-amz-date'] : longDateOf(headers.date)
  if (longDate === null || !isLongDate(longDate)) throw new SignatureError('AccessDenied', 'A valid x-amz-date or Date header is required.')
  return {
    ...scopeOf(credential, longDate, malformed),
    isPresigned: false,
    longDate,
    signedHeaders: signedHeaders.split(';'),
    signature,
    expiresInSeconds: 0,
    payload,
  }
}

function claimOfQuery({ query, headers }: ReceivedRequest): Claim {
  const malformed = (message: string) => new SignatureError('AuthorizationQueryParametersError', message)
  const values = new Map(query)
  const get = (name: string): string => {
    const value = values.get(`X-Amz-${name}`)
    if (!value) throw malformed(`Presigned URLs require the query parameter X-Amz-${name}.`)
    return value
  }
  if (get('Algorithm') !== algorithm) throw malformed(`X-Amz-Algorithm must be ${algorithm}.`)
  const longDate = get('Date')
  if (!isLongDate(longDate)) throw malformed('X-Amz-Date must be in the format 20260101T000000Z.')
  const expires = get('Expires')
  const expiresInSeconds = /^\d{1,7}$/.test(expires) ? Number(expires) : 0
  if (expiresInSeconds < 1 || expiresInSeconds > maxExpirySeconds)
    throw malformed(`X-Amz-Expires must be from 1 to ${maxExpirySeconds} seconds.`)
  const payload = values.get('X-Amz-Content-Sha256') ?? headers['x-amz-content-sha256']
  return {
    ...scopeOf(get('Credential'), longDate, malformed),
    isPresigned: true,
    longDate,
    signedHeaders: get('SignedHeaders').split(';'),
    signature: get('Signature'),
    expiresInSeconds,
    payload: typeof payload === 'string' ? payload : unsignedPayload,
  }
}

function scopeOf(credential: string, longDate: string, malformed: (message: string) => SignatureError) {
  const [accessKeyId = '', date, region = '', named, end, ...rest] = credential.split('/')
  if (accessKeyId === '' || end !== 'aws4_request' || rest.length > 0)
    throw malformed('The credential must be <access key ID>/<date>/<region>/s3/aws4_request.')
  if (named !== service) throw malformed(`The service '${named}' of the credential is wrong; expecting '${service}'.`)
  if (date !== longDate.slice(0, 8)) throw malformed('The date of the credential must be the date of the request.')
  return { accessKeyId, region }
}

const isLongDate = (text: string): boolean => /^\d{8}T\d{6}Z$/.test(text) && !Number.isNaN(timeOf(text))
const timeOf = (longDate: string): number => Date.parse(longDate.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'))

function longDateOf(date: string | undefined): string | null {
  const time = date === undefined ? Number.NaN : Date.parse(date)
  return Number.isNaN(time) ? null : new Date(time).toISOString().replace(/[-:]|\.\d+/g, '')
}

/** Signs the chunks of a body that is signed piece by piece, each with the signature of the one before. */
export type ChunkSigner = {
  /** Verifies the next chunk by the SHA-256 of its bytes. Throws SignatureError. */
  chunk(sha256: string, signature: string): void
  /** Verifies the trailing headers, as text with one line for each. Throws SignatureError. */
  trailer(text: string, signature: string): void
}

/**
 * Verifies the signature of a request with the secret of its access key. Throws SignatureError. Returns the verification of the chunks of
 * its body. `now` is the time by the wall clock.
 */
export async function verifySignature(claim: Claim, request: ReceivedRequest, secretAccessKey: string, now: Date): Promise<ChunkSigner> {
  verifyTime(claim, now)
  const headers = signedHeadersOf(claim, request)
  const { signatureOf } = await library()
  const { signature, key, scope } = await signatureOf(claim, request, headers, secretAccessKey)
  if (!isSame(signature, claim.signature)) throw mismatch()
  let former = claim.signature
  const follow = (lines: readonly string[], given: string): void => {
    const text = [lines[0], claim.longDate, scope, former, ...lines.slice(1)].join('\n')
    if (!isSame(createHmac('sha256', key).update(text).digest('hex'), given)) throw mismatch()
    former = given
  }
  return {
    chunk: (sha256, given) => follow([`${algorithm}-PAYLOAD`, emptySha256, sha256], given),
    trailer: (text, given) => follow([`${algorithm}-TRAILER`, createHash('sha256').update(text).digest('hex')], given),
  }
}

const mismatch = () =>
  new SignatureError('SignatureDoesNotMatch', 'The calculated signature does not match the one provided. Check the key and signing method.')

function verifyTime(claim: Claim, now: Date): void {
  const aheadMs = timeOf(claim.longDate) - now.getTime()
  if (aheadMs > maxSkewMs || (!claim.isPresigned && -aheadMs > maxSkewMs))
    throw new SignatureError('RequestTimeTooSkewed', 'The time of the request differs from the time of the server by more than 15 minutes.')
  if (claim.isPresigned && -aheadMs > claim.expiresInSeconds * 1_000)
    throw new SignatureError('AccessDenied', 'The presigned URL has expired.')
}

/** The signed headers with their values. Every x-amz-* header must be signed: it changes what the request does. */
function signedHeadersOf({ signedHeaders, isPresigned }: Claim, { headers }: ReceivedRequest): Record<string, string> {
  const unsigned = Object.keys(headers).find(
    (name) => name.startsWith('x-amz-') && !signedHeaders.includes(name) && !(isPresigned && name === 'x-amz-content-sha256'),
  )
  if (unsigned) throw new SignatureError('AccessDenied', `The header ${unsigned} is not signed.`)
  const found: Record<string, string> = Object.create(null)
  for (const name of signedHeaders) {
    const value = headers[name]
    if (value === undefined) throw mismatch()
    found[name] = Array.isArray(value) ? value.join(',') : value
  }
  return found
}

function isSame(expected: string, given: string): boolean {
  const [left, right] = [Buffer.from(expected), Buffer.from(given)]
  return left.length === right.length && timingSafeEqual(left, right)
}

type Library = Awaited<ReturnType<typeof loadLibrary>>
let loading: Promise<Library> | undefined

function library(): Promise<Library> {
  loading ??= loadLibrary()
  return loading
}

async function loadLibrary() {
  const [{ HttpRequest }, { createScope, getCanonicalHeaders, getSigningKey, SignatureV4 }] = await Promise.all([
    import('@smithy/protocol-http'),
    import('@smithy/signature-v4'),
  ])
  const options = { service, sha256: Sha256, uriEscapePath: false, applyChecksum: false }

  /** Gives access to the canonical request of the library, which otherwise adds headers of its own. */
  class CanonicalSigner extends SignatureV4 {
    async signatureOf(claim: Claim, request: ReceivedRequest, headers: Record<string, string>, secretAccessKey: string) {
      const { longDate, region, accessKeyId } = claim
      const scope = createScope(longDate.slice(0, 8), region, service)
      const parts = new HttpRequest({ method: request.method, path: encodePath(request.path), query: queryOf(request), headers })
      const canonicalHeaders = getCanonicalHeaders(parts, undefined, new Set(claim.signedHeaders))
      const canonical = this.createCanonicalRequest(parts, canonicalHeaders, claim.payload)
      const text = await this.createStringToSign(longDate, scope, canonical, algorithm)
      const key = await getSigningKey(Sha256, { accessKeyId, secretAccessKey }, longDate.slice(0, 8), region, service)
      return { signature: createHmac('sha256', key).update(text).digest('hex'), key, scope }
    }
  }

  const signer = new CanonicalSigner({ ...options, region: '', credentials: { accessKeyId: '', secretAccessKey: '' } })
  return {
    signatureOf: signer.signatureOf.bind(signer),
    createSigner: (region: string, credentials: { accessKeyId: string; secretAccessKey: string }) =>
      new SignatureV4({ ...options, region, credentials }),
    HttpRequest,
  }
}

function queryOf({ query }: ReceivedRequest): Record<string, string[]> {
  const values: Record<string, string[]> = Object.create(null)
  for (const [name, value] of query) {
    const list = values[name] ?? []
    list.push(value)
    values[name] = list
  }
  return values
}

/** Percent-encodes a path as S3 does, all but unreserved characters and slashes. */
const encodePath = (path: string): string =>
  encodeURIComponent(path)
    .replace(/%2F/g, '/')
    .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)

export type PresignRequest = {
  /** Address of the S3 API, such as http://127.0.0.1:4090. */
  endpoint: string
  region: string
  accessKeyId: string
  secretAccessKey: string
  method: 'GET' | 'PUT' | 'HEAD' | 'DELETE'
  bucket: string
  key: string
  /** From 1 to 604,800. */
  expiresInSeconds: number
  /** The request must then send this `Content-Type`. */
  contentType?: string | null
  now: Date
}

/** Signs a URL that anyone can use until it expires. `headers` are to be sent with the request. */
export async function presign(request: PresignRequest): Promise<{ url: string; headers: Record<string, string> }> {
  const { accessKeyId, secretAccessKey, region, contentType } = request
  const { protocol, host, hostname, port } = new URL(request.endpoint)
  const headers: Record<string, string> = contentType ? { 'content-type': contentType } : {}
  const { HttpRequest, createSigner } = await library()
  const signer = createSigner(region, { accessKeyId, secretAccessKey })
  const path = encodePath(`/${request.bucket}/${request.key}`)
  const signed = await signer.presign(
    new HttpRequest({
      method: request.method,
      protocol,
      hostname,
      ...(port ? { port: Number(port) } : {}),
      path,
      headers: { host, 'x-amz-content-sha256': unsignedPayload, ...headers },
    }),
    { expiresIn: request.expiresInSeconds, signingDate: request.now },
  )
  const query = Object.entries(signed.query ?? {}).map(([name, value]) => `${name}=${encodePath(String(value)).replaceAll('/', '%2F')}`)
  return { url: `${protocol}//${host}${path}?${query.join('&')}`, headers }
}
