/** Signatures against the examples in the documentation of AWS. */
import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { emptySha256, presign, type ReceivedRequest, readClaim, SignatureError, verifySignature } from '../../src/platform/s3-signature.ts'

const secret = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'
const accessKeyId = 'AKIAIOSFODNN7EXAMPLE'
const now = new Date('2013-05-24T00:05:00Z')
const scope = `${accessKeyId}/20130524/us-east-1/s3/aws4_request`

const signedGet = (
  more: Record<string, string> = {},
  signature = 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
): ReceivedRequest => ({
  method: 'GET',
  path: '/test.txt',
  query: [],
  headers: {
    host: 'examplebucket.s3.amazonaws.com',
    range: 'bytes=0-9',
    'x-amz-content-sha256': emptySha256,
    'x-amz-date': '20130524T000000Z',
    authorization: `AWS4-HMAC-SHA256 Credential=${scope},SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=${signature}`,
    ...more,
  },
})

const presignedGet = (changed: Record<string, string> = {}): ReceivedRequest => ({
  method: 'GET',
  path: '/test.txt',
  query: Object.entries({
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': scope,
    'X-Amz-Date': '20130524T000000Z',
    'X-Amz-Expires': '86400',
    'X-Amz-SignedHeaders': 'host',
    'X-Amz-Signature': 'aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
    ...changed,
  }),
  headers: { host: 'examplebucket.s3.amazonaws.com' },
})

async function verdict(request: ReceivedRequest, at = now): Promise<string> {
  try {
    const claim = readClaim(request, 'us-east-1')
    if (!claim) return 'not signed'
    await verifySignature(claim, request, secret, at)
    return 'valid'
  } catch (error) {
    if (error instanceof SignatureError) return error.code
    throw error
  }
}

it('verifies a signature in the headers, and none that is changed, too old or from the future', async () => {
  expect(await verdict(signedGet())).toBe('valid')
  expect(await verdict({ ...signedGet(), path: '/test2.txt' })).toBe('SignatureDoesNotMatch')
  expect(await verdict({ ...signedGet(), method: 'PUT' })).toBe('SignatureDoesNotMatch')
  expect(await verdict({ ...signedGet(), query: [['acl', '']] })).toBe('SignatureDoesNotMatch')
  expect(await verdict(signedGet({ range: 'bytes=0-10' }))).toBe('SignatureDoesNotMatch')
  expect(await verdict(signedGet({}, 'f'.repeat(64)))).toBe('SignatureDoesNotMatch')
  expect(await verdict(signedGet(), new Date('2013-05-24T00:14:59Z'))).toBe('valid')
  expect(await verdict(signedGet(), new Date('2013-05-24T00:15:01Z'))).toBe('RequestTimeTooSkewed')
  expect(await verdict(signedGet(), new Date('2013-05-23T23:44:59Z'))).toBe('RequestTimeTooSkewed')
})

it('refuses headers that change a request and are not signed', async () => {
  expect(await verdict(signedGet({ 'x-amz-copy-source': '/other/secret' }))).toBe('AccessDenied')
  expect(await verdict(signedGet({ 'user-agent': 'anything' }))).toBe('valid')
})

it('verifies a presigned URL until it expires', async () => {
  expect(await verdict(presignedGet())).toBe('valid')
  expect(await verdict(presignedGet(), new Date('2013-05-24T23:59:59Z'))).toBe('valid')
  expect(await verdict(presignedGet(), new Date('2013-05-25T00:00:01Z'))).toBe('AccessDenied')
  expect(await verdict(presignedGet(), new Date('2013-05-23T23:00:00Z'))).toBe('RequestTimeTooSkewed')
  expect(await verdict(presignedGet({ 'X-Amz-Expires': '86401' }))).toBe('SignatureDoesNotMatch')
  expect(await verdict(presignedGet({ 'X-Amz-Expires': '604801' }))).toBe('AuthorizationQueryParametersError')
  expect(await verdict(presignedGet({ 'X-Amz-Credential': scope.replace('us-east-1', 'eu-west-1') }))).toBe(
    'AuthorizationQueryParametersError',
  )
})

it('says what is malformed', async () => {
  const withAuthorization = (authorization: string) => verdict({ ...signedGet(), headers: { ...signedGet().headers, authorization } })
  expect(await withAuthorization('Bearer x')).toBe('InvalidArgument')
  expect(await withAuthorization('AWS4-HMAC-SHA256 Credential=x')).toBe('AuthorizationHeaderMalformed')
  expect(await verdict({ ...signedGet(), query: presignedGet().query })).toBe('InvalidArgument')
  expect(await verdict({ method: 'GET', path: '/', query: [], headers: {} })).toBe('not signed')
})

it('verifies chunks, each by the signature of the one before', async () => {
  const request: ReceivedRequest = {
    method: 'PUT',
    path: '/examplebucket/chunkObject.txt',
    query: [],
    headers: {
      host: 's3.amazonaws.com',
      'x-amz-date': '20130524T000000Z',
      'x-amz-storage-class': 'REDUCED_REDUNDANCY',
      'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
      'content-encoding': 'aws-chunked',
      'x-amz-decoded-content-length': '66560',
      'content-length': '66824',
      authorization: `AWS4-HMAC-SHA256 Credential=${scope},SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class,Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9`,
    },
  }
  const sha256 = (bytes: number) => createHash('sha256').update('a'.repeat(bytes)).digest('hex')
  const signatures = [
    'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648',
    '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497',
    'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9',
  ] as const
  const claim = readClaim(request, 'us-east-1')!
  const signer = await verifySignature(claim, request, secret, now)
  signer.chunk(sha256(65_536), signatures[0])
  signer.chunk(sha256(1_024), signatures[1])
  signer.chunk(sha256(0), signatures[2])
  const other = await verifySignature(claim, request, secret, now)
  expect(() => other.chunk(sha256(65_535), signatures[0])).toThrow(SignatureError)
  expect(() => other.chunk(sha256(1_024), signatures[1])).toThrow(SignatureError)
})

it('presigns URLs that it verifies, for any key', async () => {
  const { url, headers } = await presign({
    ...{ endpoint: 'https://s3.example.com:8443', region: 'us-east-1', accessKeyId, secretAccessKey: secret, now },
    ...{ method: 'PUT', bucket: 'photos', key: 'a b/ü+(1)*!.png', expiresInSeconds: 60, contentType: 'image/png' },
  })
  expect(headers).toEqual({ 'content-type': 'image/png' })
  const { pathname, searchParams, host } = new URL(url)
  const request = { method: 'PUT', path: decodeURIComponent(pathname), query: [...searchParams] }
  expect(await verdict({ ...request, headers: { host, ...headers } })).toBe('valid')
  expect(await verdict({ ...request, headers: { host, 'content-type': 'text/html' } })).toBe('SignatureDoesNotMatch')
  expect(await verdict({ ...request, headers: { host } })).toBe('SignatureDoesNotMatch')
})
