/** The parts of an S3 request: bucket and key, from the path or the host, and the parameters. */
import type { IncomingMessage } from 'node:http'
import type { ReceivedRequest } from '../platform/s3-signature.ts'
import { S3Error } from './error.ts'

export type Target = { bucket: string | null; key: string }

export type S3Request = ReceivedRequest & Target & { parameters: ReadonlyMap<string, string> }

const invalidUri = () => new S3Error('InvalidURI', 'The URI is not valid: it must be percent-encoded UTF-8.')

/** `hosts`: the names of the endpoint. A host below one of them names a bucket. Throws S3Error. */
export function readRequest(message: IncomingMessage, hosts: readonly string[]): S3Request {
  const url = (message.url ?? '/').replace(/^https?:\/\/[^/?#]*/i, '')
  const queryAt = url.indexOf('?')
  const path = decode(queryAt < 0 ? url : url.slice(0, queryAt)) || '/'
  if (!path.startsWith('/')) throw invalidUri()
  const query = queryAt < 0 ? [] : readQuery(url.slice(queryAt + 1))
  const { method = 'GET', headers } = message
  return { method, path, query, headers, parameters: new Map(query), ...targetOf(path, headers.host ?? '', hosts) }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw invalidUri()
  }
}

const readQuery = (text: string): [string, string][] =>
  text
    .split('&')
    .filter(Boolean)
    .map((part) => {
      const at = part.indexOf('=')
      const [name, value] = at < 0 ? [part, ''] : [part.slice(0, at), part.slice(at + 1)]
      return [decode(name.replaceAll('+', ' ')), decode(value.replaceAll('+', ' '))]
    })

function targetOf(path: string, hostAndPort: string, hosts: readonly string[]): Target {
  const host = hostAndPort.replace(/:\d+$/, '').toLowerCase()
  const parent = hosts.find((name) => host.endsWith(`.${name}`))
  if (parent) return { bucket: host.slice(0, -parent.length - 1), key: path.slice(1) }
  return splitTarget(path.slice(1))
}

/** Splits `<bucket>/<key>`. Both may be empty. */
export function splitTarget(path: string): Target {
  const slash = path.indexOf('/')
  const [bucket, key] = slash < 0 ? [path, ''] : [path.slice(0, slash), path.slice(slash + 1)]
  return { bucket: bucket || null, key }
}
