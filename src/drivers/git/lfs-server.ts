/** Client of an LFS server: locates objects and downloads them. It connects only to addresses that the egress guard has approved. */

import { readFileSync } from 'node:fs'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { text } from 'node:stream/consumers'
import type { SourceFailureCode } from '../../domain/deploys/deployment/ports.ts'
import { PortError } from '../../platform/errors.ts'
import { parseRepositoryUrl } from '../../platform/repository-url.ts'
import { sourceRejected } from './failure.ts'
import type { GitSession } from './session.ts'
import { checkedAddresses } from './transport.ts'

export type LfsObject = { oid: string; sizeBytes: number }
export type LfsDownload = { href: string; header: Record<string, string> }

const MEDIA_TYPE = 'application/vnd.git-lfs+json'
const BATCH = 100
const ANSWER_BYTES = 4 * 1024 * 1024

export function openLfsServer(session: GitSession, endpoint: string) {
  return {
    /** Downloads by object id. Throws PortError, or `signal.reason`. */
    async locate(objects: LfsObject[]): Promise<Map<string, LfsDownload>> {
      const downloads = new Map<string, LfsDownload>()
      for (let at = 0; at < objects.length; at += BATCH) {
        for (const [oid, download] of await locateBatch(session, endpoint, objects.slice(at, at + BATCH))) downloads.set(oid, download)
      }
      return downloads
    },
    /** The unverified bytes of an object, requested on first read. Throws PortError, or `signal.reason`. */
    async *download({ href, header }: LfsDownload): AsyncGenerator<Buffer> {
      const answer = await send(session, { method: 'GET', url: href, headers: header })
      try {
        yield* answer as AsyncIterable<Buffer>
      } catch (error) {
        throw unreachable(session, href, error)
      }
    },
  }
}

async function locateBatch(session: GitSession, endpoint: string, objects: LfsObject[]): Promise<[string, LfsDownload][]> {
  const wanted = objects.map(({ oid, sizeBytes }) => ({ oid, size: sizeBytes }))
  const body = JSON.stringify({ operation: 'download', transfers: ['basic'], hash_algo: 'sha256', objects: wanted })
  const headers = { Accept: MEDIA_TYPE, 'Content-Type': MEDIA_TYPE, 'Content-Length': String(Buffer.byteLength(body)) }
  const answer = await send(session, { method: 'POST', url: `${endpoint}/objects/batch`, headers, body })
  let size = 0
  answer.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size > ANSWER_BYTES) answer.destroy(sourceRejected('The response of the LFS server is too long.'))
  })
  const json = await text(answer).catch((error) => {
    throw unreachable(session, endpoint, error)
  })
  return parseBatch(json)
}

function parseBatch(json: string): [string, LfsDownload][] {
  const answer = record(parseJson(json))
  const objects = Array.isArray(answer.objects) ? answer.objects.map(record) : []
  return objects.flatMap((object) => {
    const { oid } = object
    const download = record(record(object.actions).download)
    if (typeof oid !== 'string' || typeof download.href !== 'string') return []
    const header = Object.entries(record(download.header)).filter((entry): entry is [string, string] => typeof entry[1] === 'string')
    return [[oid, { href: download.href, header: Object.fromEntries(header) }] as [string, LfsDownload]]
  })
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    throw sourceRejected('The response of the LFS server is not valid.')
  }
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

type Exchange = { method: 'GET' | 'POST'; url: string; headers: Record<string, string>; body?: string }

/** Follows no redirects. Sends the credential only to the origin of the repository. */
async function send(session: GitSession, { method, url, headers, body }: Exchange): Promise<IncomingMessage> {
  const { settings, io } = session
  const target = URL.parse(url)
  if (target === null || (target.protocol !== 'https:' && target.protocol !== 'http:'))
    throw sourceRejected('The LFS server returned a URL that is not http or https.')
  const address = parseRepositoryUrl(`${target.origin}/object`)
  if (!('origin' in address)) throw sourceRejected('The LFS server returned a URL that is not valid.')
  const [pinned] = await checkedAddresses(address, settings, io.signal)
  const options = {
    method,
    host: pinned?.address,
    port: address.port,
    path: target.pathname + target.search,
    servername: address.host,
    headers: { Host: target.host, 'User-Agent': 'quayside', ...authorization(session, target.origin, headers), ...headers },
    agent: false as const,
    signal: io.signal,
    timeout: settings.limits.stallMs,
    ...(settings.caFile === undefined ? {} : { ca: readFileSync(settings.caFile) }),
  }
  try {
    const request = address.transport === 'https' ? httpsRequest(options) : httpRequest(options)
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    request.on('response', resolve)
    request.on('error', reject)
    request.on('timeout', () => request.destroy(new Error('the connection was idle for too long')))
    request.end(body)
    return requireSuccess(await promise)
  } catch (error) {
    throw unreachable(session, url, error)
  }
}

/** The error to throw for a failed connection. */
function unreachable({ io }: GitSession, url: string, cause: unknown): unknown {
  if (io.signal.aborted) return io.signal.reason
  if (cause instanceof PortError) return cause
  const host = URL.parse(url)?.host ?? ''
  return new PortError<SourceFailureCode>('SOURCE_UNREACHABLE', `The LFS server ${host} could not be reached, or closed the connection.`, {
    cause,
  })
}

function authorization({ repository, transport }: GitSession, origin: string, headers: Record<string, string>): Record<string, string> {
  const { credential } = repository
  const isGiven = Object.keys(headers).some((name) => name.toLowerCase() === 'authorization')
  if (credential === null || isGiven || origin !== transport.origin) return {}
  return { Authorization: `Basic ${Buffer.from(`${credential.username}:${credential.password}`).toString('base64')}` }
}

function requireSuccess(answer: IncomingMessage): IncomingMessage {
  if (answer.statusCode === 200) return answer
  answer.destroy()
  if (answer.statusCode === 401 || answer.statusCode === 403)
    throw new PortError<SourceFailureCode>(
      'SOURCE_UNREACHABLE',
      'The LFS server requires credentials, or rejected the credentials it received.',
      {
        hint: 'The token must also have permission to read LFS objects.',
      },
    )
  throw new PortError<SourceFailureCode>('SOURCE_UNREACHABLE', `The LFS server answered with status ${answer.statusCode}.`)
}
