/**
 * /graphql over HTTP: authentication, GraphiQL for browsers, and GraphQL over HTTP. parameters.ts reads the request, perform.ts
 * runs the operation and sse.ts writes streams; this file chooses the media type and status.
 *
 * No CSRF token or special header is required: browsers never add Authorization and X-API-Key by themselves, and a page of another origin
 * can't set them without a preflight. With a cookie, a POST must come from a page of this server. Bodies must be JSON; mutations must use POST.
 */
import type { ServerResponse } from 'node:http'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { GraphQLSchema } from 'graphql'
import type { Caller } from '../platform/access.ts'
import { credentialOfHeaders, type PresentedCredential } from '../platform/credential.ts'
import { DomainError, type ErrorKind, errors, statusOfKind } from '../platform/errors.ts'
import { refusalOfJson } from '../platform/json-body.ts'
import { refusalOf, withinDeadline } from '../platform/outage.ts'
import { demandOwnPage } from '../platform/own-origin.ts'
import { demandUtf8Query, isUtf8Type, utf8Text } from '../platform/utf8.ts'
import type { App } from '../platform/work.ts'
import type { Authenticate, CredentialWatch } from './credential-watch.ts'
import { formatError, refusal } from './error.ts'
import { createGraphiqlPage, type Page, pagePolicy } from './graphiql.ts'
import { createParameterReader, type Fault, isFault } from './parameters.ts'
import {
  type Answer,
  type Answers,
  type Asker,
  isMutation,
  isPrepared,
  isStream,
  isSubscription,
  type Params,
  type Performer,
  textOf,
} from './perform.ts'
import { completedId, resumedAfter, writeEvents } from './sse.ts'

export type HttpDoorOptions = {
  app: App
  schema: GraphQLSchema
  performer: Performer
  authenticate: Authenticate
  watch: CredentialWatch
  /** Aborts when the server stops: open event streams end, so that their clients reconnect to another process. */
  stopping: AbortSignal
  beatEveryMs: number
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Set after the credential check of /graphql. */
    graphqlCaller: { caller: Caller; credential: PresentedCredential } | null
  }
}

const endpoint = '/graphql'

/** Mounts /graphql. Every failure, including one while reading the body, is answered as a GraphQL error. */
export function mountHttp(server: FastifyInstance, options: HttpDoorOptions): void {
  server.earlyWordings.push({
    owns: (path) => path === endpoint || path === `${endpoint}/`,
    body: ({ error, requestId }) => ({ errors: [refusal(error, requestId)] }),
  })
  void server.register(async (door) => {
    const { app } = options
    const page = app.settings.GRAPHIQL ? createGraphiqlPage(endpoint) : null
    const readParameters = createParameterReader(options.schema, endpoint)
    const perform = createPerform(options)

    door.decorateRequest('graphqlCaller', null)
    door.removeAllContentTypeParsers()
    door.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
      if (!isUtf8Type(request.headers['content-type'])) return done(Object.assign(new Error('another charset'), { statusCode: 415 }))
      const refused = refusalOfJson(body)
      if (refused) return done(refused)
      try {
        done(null, utf8Text(body))
      } catch (error) {
        done(error as Error)
      }
    })
    door.setErrorHandler((error: FastifyError, request, reply) => {
      if (error.statusCode === 401 || (error instanceof DomainError && error.kind === 'unauthenticated'))
        reply.header('www-authenticate', 'Bearer')
      const [known, status] = errorOfServer(app, error)
      const answer: Answer = { errors: [formatError(known, { requestId: request.id, app })] }
      return sendJson(reply, answer, jsonType(request.headers.accept), status)
    })

    door.route({
      method: ['PUT', 'PATCH', 'DELETE'],
      url: endpoint,
      onRequest: async (request, reply) => {
        const refused = refusal(errors.invalid_input({ text: 'GraphQL requests must use GET or POST.' }), request.id)
        reply.header('allow', 'GET, HEAD, POST, OPTIONS')
        return sendJson(reply, { errors: [refused] }, jsonType(request.headers.accept), 405)
      },
      handler: () => {},
    })
    door.route({
      method: ['GET', 'POST'],
      url: endpoint,
      config: { door: 'graphql' },
      onRequest: async (request, reply) => {
        if (page && request.method !== 'POST' && asksForPage(request)) return sendPage(request, reply, await page())
        const credential = credentialOfHeaders(request.headers)
        if (credential?.fromCookie && request.method === 'POST') demandOwnPage(app, request.raw)
        const found = credential === null ? null : withinDeadline(app, options.authenticate(credential))
        const caller = found instanceof Promise ? await found : found
        if (credential === null || caller === null) throw errors.unauthenticated()
        request.graphqlCaller = { caller, credential }
      },
      handler: async (request, reply) => {
        demandUtf8Query(request.url)
        const accepts = acceptance(request.headers.accept)
        const read = readParameters(request)
        const params = read instanceof Promise ? await read : read
        const { answered, status } = isFault(params) ? refused(request, params) : await perform(request, reply, params, accepts)
        const budget = options.performer.budget.fields(request.graphqlCaller!.caller)
        if (budget) reply.headers(budget)
        if (status === 204) return reply.code(204).send()
        if (isStream(answered) || (accepts.events && !accepts.json && status === undefined)) {
          return sendEvents(request, reply, answered, options)
        }
        if (status === 405) reply.header('allow', 'POST')
        return sendJson(reply, answered, jsonType(request.headers.accept), status)
      },
    })
  })
}

/** `status` is set when the request is answered without running an operation. */
type Answered = { answered: Answer | Answers; status?: number }

const refused = (request: FastifyRequest, { status, text }: Fault): Answered => ({
  answered: { errors: [refusal(errors.invalid_input({ text }), request.id)] },
  status,
})

type Perform = (request: FastifyRequest, reply: FastifyReply, params: Params, accepts: Acceptance) => Promise<Answered>

/** Runs an operation that the method and the Accept header allow. */
const createPerform =
  ({ performer, schema }: HttpDoorOptions): Perform =>
  async (request, reply, params, { json, events }) => {
    const asker: Asker = { caller: request.graphqlCaller!.caller, requestId: request.id, whenGone: (act) => whenClosed(reply.raw, act) }
    const prepared = performer.prepare(params, asker)
    if (!isPrepared(prepared)) return { answered: prepared }
    if (request.method !== 'POST' && isMutation(prepared)) return refused(request, { status: 405, text: 'A mutation must use POST.' })
    if (isSubscription(prepared) && !events)
      return refused(request, { status: 406, text: 'A subscription requires text/event-stream in the Accept header, or a WebSocket.' })
    const lastEventId = lastEventIdOf(request)
    if (isSubscription(prepared) && lastEventId === completedId) return { answered: {}, status: 204 }
    if (!json && !events)
      return refused(request, {
        status: 406,
        text: 'The Accept header must allow application/json or application/graphql-response+json.',
      })
    return { answered: await performer.run(lastEventId ? resumedAfter(prepared, schema, lastEventId) : prepared, asker) }
  }

/** Calls back when the connection is closed before the response has been sent. */
function whenClosed(response: ServerResponse, act: () => void): () => void {
  const closed = () => {
    if (!response.writableFinished) act()
  }
  if (response.closed) queueMicrotask(closed)
  else response.on('close', closed)
  return () => response.off('close', closed)
}

function lastEventIdOf(request: FastifyRequest): string | undefined {
  const id = request.headers['last-event-id']
  return typeof id === 'string' && id !== '' ? id : undefined
}

type Acceptance = { json: boolean; events: boolean }

/** What an Accept header allows. Streams need an explicit text/event-stream: a client that accepts anything expects the response to end. */
function acceptance(accept: string | undefined): Acceptance {
  if (acceptsAnything(accept)) return { json: true, events: false }
  const types = mediaTypes(accept)
  return {
    json: types.some((type) => type === '*/*' || type === 'application/*' || type in jsonTypes),
    events: types.includes('text/event-stream'),
  }
}

const acceptsAnything = (accept: string | undefined): boolean => !accept || accept === '*/*'

const jsonTypes = { 'application/json': true, 'application/graphql-response+json': true }

/** The first JSON type named in the header, otherwise application/json. */
const jsonType = (accept: string | undefined) =>
  (acceptsAnything(accept) ? undefined : mediaTypes(accept).find((type) => type in jsonTypes)) ?? 'application/json'

const mediaTypes = (accept = ''): string[] =>
  accept
    .toLowerCase()
    .split(',')
    .map((part) => part.trim().split(/\s*;\s*/))
    .filter(([, ...parameters]) => !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter)))
    .map(([type]) => type ?? '')

/** Length from which a text is encoded before it is sent: Node would encode it into a buffer of three times its length. */
const largeChars = 16 * 1024

function sendJson(reply: FastifyReply, answer: Answer, type: string, status = statusOfAnswer(answer, type)) {
  const { retryAfterSeconds } = (answer.errors?.[0]?.extensions.details ?? {}) as { retryAfterSeconds?: number }
  if (status >= 400 && retryAfterSeconds !== undefined) reply.header('retry-after', retryAfterSeconds)
  const text = textOf(answer)
  return reply
    .code(status)
    .headers({ 'content-type': `${type}; charset=utf-8`, 'cache-control': 'no-store' })
    .send(text.length > largeChars ? Buffer.from(text) : text)
}

/** Clients of the older media type application/json expect 200 for an invalid operation. */
function statusOfAnswer(answer: Answer, type: string): number {
  if ('data' in answer) return 200
  const kind = answer.errors?.[0]?.extensions.kind as ErrorKind | undefined
  if (!kind || (kind === 'invalid' && type === 'application/json')) return 200
  return statusOfKind[kind]
}

async function sendEvents(
  request: FastifyRequest,
  reply: FastifyReply,
  answered: Answer | Answers,
  { watch, stopping, beatEveryMs }: HttpDoorOptions,
) {
  const { caller, credential } = request.graphqlCaller!
  const revoked = new AbortController()
  const unfollow = watch.follow(credential, caller, () => revoked.abort())
  reply.hijack()
  for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) reply.raw.setHeader(name, value)
  try {
    const lastEventId = isStream(answered) ? lastEventIdOf(request) : undefined
    await writeEvents(reply.raw, answered, { signal: AbortSignal.any([revoked.signal, stopping]), beatEveryMs, lastEventId })
  } finally {
    unfollow()
  }
}

function asksForPage(request: FastifyRequest): boolean {
  return mediaTypes(request.headers.accept).includes('text/html') && !/[?&]query=/.test(request.url)
}

function sendPage(request: FastifyRequest, reply: FastifyReply, { html, gzipped }: Page) {
  const zipped = /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))
  reply.headers({ 'content-type': 'text/html; charset=utf-8', 'content-security-policy': pagePolicy, vary: 'accept, accept-encoding' })
  if (zipped) reply.header('content-encoding', 'gzip')
  return reply.send(zipped ? gzipped : html)
}

/** Errors raised by Fastify itself, by status: body too large, unsupported content type. */
function errorOfServer(app: App, error: FastifyError): [unknown, number | undefined] {
  const refused = refusalOf(app, error)
  if (error.statusCode === 413) return [refused ?? errors.payload_too_large(), 413]
  if (refused) return [refused, statusOfKind[refused.kind]]
  if (error.statusCode === 415) return [errors.invalid_input({ text: 'The body must be application/json in UTF-8.' }), 415]
  if (error.statusCode && error.statusCode < 500) return [errors.invalid_input({ text: error.message }), error.statusCode]
  return [error, 500]
}
