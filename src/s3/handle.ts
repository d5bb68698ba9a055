/** One request from its arrival to the end of its response. */
import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { App } from '../platform/work.ts'
import { dispatch } from './dispatch.ts'
import { toS3Error } from './error.ts'
import { s3Requests } from './metrics.ts'
import type { Patience } from './received-body.ts'
import { refuse } from './refuse.ts'
import { readRequest } from './request.ts'

export type Arrival = {
  app: App
  /** Names of the endpoint, below which a bucket is a host of its own. */
  hosts: readonly string[]
  patience: Patience
  request: IncomingMessage
  response: ServerResponse
  /** Tells a client that waits for it to send the body. */
  beginBody(): void
}

/** Answers a request. Never rejects. */
export async function handle({ app, hosts, patience, request, response, beginBody }: Arrival): Promise<void> {
  const startedAt = performance.now()
  const requestId = randomBytes(8).toString('hex').toUpperCase()
  const gone = new AbortController()
  let operation = 'unknown'
  response.setHeader('x-amz-request-id', requestId)
  response.on('close', () => {
    if (!response.writableFinished) gone.abort()
    s3Requests.observe({ operation, status: response.statusCode }, (performance.now() - startedAt) / 1_000)
  })
  try {
    const basics = { app, request, response, requestId, signal: gone.signal, patience, beginBody }
    const s3 = readRequest(request, hosts)
    await dispatch({ ...basics, s3, payload: null, signer: null, key: null }, (name) => {
      operation = name
    })
  } catch (error) {
    // A client that disconnects is no failure.
    if (gone.signal.aborted || request.socket.destroyed) response.destroy()
    else refuse(request, response, toS3Error(app, error, requestId), requestId)
  }
}
