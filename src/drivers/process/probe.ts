/** Asks an instance directly, past the router, whether it answers. */
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import type { Address, ProbeResult } from '../../domain/deploys/instance/ports.ts'
import { isErrno } from './tree.ts'

export const refused = 'connection refused'

type Answer = Pick<ProbeResult, 'ok' | 'status' | 'reason'>

/** GET of `path` (redirects are not followed), or a connect alone where it is null. Never throws. */
export async function ask(address: Address, path: string | null, timeoutMs: number): Promise<Answer> {
  return path === null ? await knock(address, timeoutMs) : await get(address, path, timeoutMs)
}

function get(address: Address, path: string, timeoutMs: number): Promise<Answer> {
  return new Promise((resolve) => {
    const finish = (status: number | null, reason: string | null) => {
      clearTimeout(timer)
      resolve({ ok: reason === null, status, reason })
      request.destroy()
    }
    const headers = { 'user-agent': 'Quayside-Health/1', connection: 'close' }
    const request = httpRequest({ ...address, path: requestPath(path), headers, agent: false }, (response) => {
      const status = response.statusCode ?? 0
      response.resume()
      finish(status, status >= 200 && status < 400 ? null : `answered ${status}`)
    })
    const timer = setTimeout(() => finish(null, noAnswer(timeoutMs)), timeoutMs)
    request.on('error', (error) => finish(null, reasonOf(error)))
    request.end()
  })
}

/** Percent-encodes what is not yet, as a browser does. */
function requestPath(path: string): string {
  const url = new URL(`http://localhost${path.startsWith('/') ? '' : '/'}${path}`)
  return url.pathname + url.search
}

function knock(address: Address, timeoutMs: number): Promise<Answer> {
  return new Promise((resolve) => {
    const finish = (reason: string | null) => {
      clearTimeout(timer)
      resolve({ ok: reason === null, status: null, reason })
      socket.destroy()
    }
    const socket = connect(address, () => finish(null))
    const timer = setTimeout(() => finish(noAnswer(timeoutMs)), timeoutMs)
    socket.on('error', (error) => finish(reasonOf(error)))
  })
}

function noAnswer(timeoutMs: number): string {
  return `no answer within ${timeoutMs} ms`
}

function reasonOf(error: Error): string {
  if (isErrno(error, 'ECONNREFUSED')) return refused
  if (isErrno(error, 'ECONNRESET', 'EPIPE')) return 'connection closed without an answer'
  return 'no valid HTTP answer'
}
