/** Checks directly, without the router, whether an instance responds. */
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import type { Address, ProbeResult } from '../../domain/deploys/instance/ports.ts'
import { isErrno } from './tree.ts'

export const refused = 'connection refused'

type Answer = Pick<ProbeResult, 'ok' | 'status' | 'reason'>

/** GETs `path` without following redirects, or only connects if it is null. Never throws. */
export async function probeAddress(address: Address, path: string | null, timeoutMs: number): Promise<Answer> {
  return path === null ? await tryConnect(address, timeoutMs) : await get(address, path, timeoutMs)
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
    const timer = setTimeout(() => finish(null, noAnswerWithin(timeoutMs)), timeoutMs)
    request.on('error', (error) => finish(null, reasonOf(error)))
    request.end()
  })
}

/** Percent-encodes the path as a browser does. */
function requestPath(path: string): string {
  const url = new URL(`http://localhost${path.startsWith('/') ? '' : '/'}${path}`)
  return url.pathname + url.search
}

function tryConnect(address: Address, timeoutMs: number): Promise<Answer> {
  return new Promise((resolve) => {
    const finish = (reason: string | null) => {
      clearTimeout(timer)
      resolve({ ok: reason === null, status: null, reason })
      socket.destroy()
    }
    const socket = connect(address, () => finish(null))
    const timer = setTimeout(() => finish(noAnswerWithin(timeoutMs)), timeoutMs)
    socket.on('error', (error) => finish(reasonOf(error)))
  })
}

function noAnswerWithin(timeoutMs: number): string {
  return `no response within ${timeoutMs} ms`
}

function reasonOf(error: Error): string {
  if (isErrno(error, 'ECONNREFUSED')) return refused
  if (isErrno(error, 'ECONNRESET', 'EPIPE')) return 'connection closed without an answer'
  return 'no valid HTTP answer'
}
