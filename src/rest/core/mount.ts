/**
 * Serves dialects on a Fastify server: assigns a request to its dialect, checks the credential, parses the body, renders errors. No
 * contract and no row is known here. The server itself handles request ids, CORS, the body limit and trailing slashes.
 */
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { Caller } from '../../platform/access.ts'
import { demandPerson } from '../../platform/command.ts'
import { credentialOfHeaders, type PresentedCredential, refusedCredential } from '../../platform/credential.ts'
import type { EarlyWording } from '../../platform/early-refusal.ts'
import { DomainError, errors } from '../../platform/errors.ts'
import { encodeId } from '../../platform/id.ts'
import { refusalOfJson } from '../../platform/json-body.ts'
import { withinDeadline } from '../../platform/outage.ts'
import { demandNoForeignPage, demandOwnPage } from '../../platform/own-origin.ts'
import { demandUtf8Query, isUtf8Type, utf8Text } from '../../platform/utf8.ts'
import type { App } from '../../platform/work.ts'
import { areasOf, type Dialect, type Face } from './dialect.ts'
import { documentPathsOf, mountDocument } from './document.ts'
import { etagOf, isFresh } from './etag.ts'
import { failureOf } from './failure.ts'
import { inputReader } from './input.ts'
import { isBelow, isOneOf, pathOf, pickDialect } from './pick-dialect.ts'
import { type CountRequest, createRequestLimit } from './request-limit.ts'
import { type Deprecation, deprecationOf, pathsOf, type Route, type RowCredential, urlsOf } from './route.ts'
import { noVocabulary, type Vocabulary, vocabularies, vocabularyOf } from './vocabulary.ts'

declare module 'fastify' {
  interface FastifyRequest {
    restCaller: Caller | null
  }
  interface FastifyContextConfig {
    credential?: RowCredential | undefined
    /** Whether the row only reads. */
    reads?: boolean
    /** Whether the row needs no credential. */
    open?: boolean
    /** Whether the row is for people who are signed in. */
    people?: boolean
    withoutOrganization?: boolean
    cookieOfPrograms?: boolean
    maxJsonValues?: number | undefined
    /** Headers of every response. */
    headers?: Record<string, string>
  }
}

export const faceOf = (dialect: Dialect): Face => ({ ...dialect, paths: [...dialect.routes.flatMap(pathsOf), ...documentPathsOf(dialect)] })

/** Serves the dialects and rejects all other paths in their areas. To be registered once per server. */
export function restPlugin(app: App, dialects: readonly Dialect[]): FastifyPluginAsync {
  const faces = dialects.map(faceOf)
  const byName = new Map(dialects.map((dialect) => [dialect.name, dialect]))
  const pick = (request: FastifyRequest) => byName.get(pickDialect(faces, request.url, request.headers) ?? '') ?? dialects[0]!
  return async (server) => {
    const counts = new Map(dialects.map((dialect) => [dialect, createRequestLimit(app, dialect)]))
    server.addConstraintStrategy(dialectConstraint(faces))
    for (const dialect of dialects) server.earlyWordings.push(wordingOf(faces, dialect))
    for (const prefix of topmost(dialects.flatMap(areasOf))) {
      await server.register(refuseUnknownPaths(app, pick, counts), { prefix })
    }
    for (const dialect of dialects) await server.register(serveDialect(app, dialect, counts.get(dialect)!))
  }
}

const dialectConstraint = (faces: readonly Face[]) => ({
  name: 'dialect',
  storage() {
    const handlers = new Map<unknown, never>()
    return {
      get: (name: unknown) => handlers.get(name) ?? null,
      set: (name: unknown, handler: never) => void handlers.set(name, handler),
    }
  },
  deriveConstraint: (request: FastifyRequest['raw']) => pickDialect(faces, request.url ?? '/', request.headers),
  validate() {},
  mustMatchWhenDerived: false,
})

const topmost = (prefixes: readonly string[]): string[] => [
  ...new Set(prefixes.filter((prefix) => !prefixes.some((other) => other !== prefix && isBelow(prefix, other)))),
]

const refuseUnknownPaths =
  (app: App, pick: (request: FastifyRequest) => Dialect, counts: ReadonlyMap<Dialect, CountRequest>): FastifyPluginAsync =>
  async (server) => {
    // In a hook, to reject an unknown path before the body is read.
    server.addHook('onRequest', async (request, reply) => {
      const dialect = pick(request)
      await countKnownCaller(app, dialect, counts.get(dialect)!, request, reply)
      const methods = methodsAt(dialect, request.url)
      if (methods.length === 0) return refuse(app, dialect, request, reply, errors.not_found({ text: 'This path does not exist.' }))
      reply.header('allow', methods.join(', '))
      return refuse(app, dialect, request, reply, Object.assign(new Error('another method'), { statusCode: 405 }))
    })
    // The server has answered OPTIONS before, at known paths too.
    server.addHook('onSend', async (request, reply) => {
      const methods = request.method === 'OPTIONS' ? methodsAt(pick(request), request.url) : []
      if (methods.length > 0) reply.header('allow', methods.join(', '))
    })
    server.setErrorHandler((error, request, reply) => refuse(app, pick(request), request, reply, error))
    server.setNotFoundHandler(() => {})
  }

/** Methods that a path supports. Empty for an unknown path. */
function methodsAt(dialect: Dialect, url: string): string[] {
  const path = pathOf(url)
  const rows = dialect.routes.filter((route) => isOneOf(pathsOf(route), dialect.prefixes, path))
  const found = new Set<string>(rows.map(({ method }) => method))
  if (isOneOf(documentPathsOf(dialect), areasOf(dialect), path)) found.add('GET')
  if (found.size === 0) return []
  if (found.has('GET')) found.add('HEAD')
  return [...found.add('OPTIONS')].sort()
}

const serveDialect =
  (app: App, dialect: Dialect, count: CountRequest): FastifyPluginAsync =>
  async (server) => {
    const authenticate = createAuthenticate(app, dialect, count)
    server.setErrorHandler((error, request, reply) => refuse(app, dialect, request, reply, error))
    await server.register(async (open) => mountDocument(open, dialect))
    await server.register(async (guarded) => {
      acceptJson(guarded)
      guarded.decorateRequest('restCaller', null)
      guarded.addHook('onRequest', async (request, reply) => {
        reply.header('cache-control', 'no-store').headers(request.routeOptions.config.headers ?? {})
        if (request.routeOptions.config.open) {
          count(request, reply)
          return demandUtf8Query(request.url)
        }
        request.restCaller = await withinDeadline(app, authenticate(request, reply))
        if (!request.restCaller) throw refusedCredential(request.headers)
        demandUtf8Query(request.url)
      })
      const vocabularyOfRow = vocabularies(dialect)
      for (const route of dialect.routes) mountRoute(app, dialect, route, vocabularyOfRow(route), guarded)
    })
  }

type AuthenticateRequest = (request: FastifyRequest, reply: FastifyReply) => Promise<Caller | null>

/** The caller of a request, which is counted. */
function createAuthenticate(app: App, dialect: Dialect, count: CountRequest): AuthenticateRequest {
  return async (request, reply) => {
    const { raw, headers, routeOptions } = request
    const { config } = routeOptions
    const credential = credentialOfHeaders(headers)
    if (credential?.fromCookie && dialect.keysOnly) return null
    if (credential?.fromCookie && !config.reads) (config.cookieOfPrograms ? demandNoForeignPage : demandOwnPage)(app, raw)
    const caller = credential && (await dialect.authenticate(app, credential))
    if (!caller) return (await config.credential?.authenticate(app, headers)) ?? null
    if (caller.apiKeyId !== null) nameKey(dialect, reply, caller.apiKeyId)
    count(request, reply, { caller, credential: credential.text })
    if (config.people) demandPerson(caller)
    if (!config.withoutOrganization) dialect.demandOrganization?.(caller, credential)
    return caller
  }
}

/** Sets the header that says which key a request had. */
function nameKey({ keyIdHeader }: Dialect, reply: FastifyReply, apiKeyId: string): void {
  if (keyIdHeader !== undefined) reply.header(keyIdHeader, encodeId('ApiKey', apiKeyId))
}

/**
 * The same at a path without a row, where nothing else needs the caller: a request is counted, and its key named. Whatever is wrong with the
 * credential is not told there.
 */
async function countKnownCaller(
  app: App,
  dialect: Dialect,
  count: CountRequest,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const credential = credentialOfHeaders(request.headers)
  if (!credential || credential.fromCookie) return
  const found = await lookUp(app, dialect, credential)
  if (found.apiKeyId !== null) nameKey(dialect, reply, found.apiKeyId)
  if (found.caller) count(request, reply, { caller: found.caller, credential: credential.text })
}

/** `apiKeyId` is also that of a key that is known and not accepted. */
type Found = { caller: Caller | null; apiKeyId: string | null }

async function lookUp(app: App, dialect: Dialect, credential: PresentedCredential): Promise<Found> {
  try {
    const caller = await withinDeadline(app, Promise.resolve(dialect.authenticate(app, credential)))
    return { caller, apiKeyId: caller?.apiKeyId ?? null }
  } catch (error) {
    if (!(error instanceof DomainError)) app.log.warn({ err: error }, 'the key of a request for an unknown path could not be looked up')
    return { caller: null, apiKeyId: refusedKeyOf(error instanceof DomainError ? error.details : undefined) }
  }
}

/** ID of a key that is known and not accepted, of the details of an error. */
const refusedKeyOf = (details: Record<string, unknown> = {}): string | null =>
  typeof details.apiKeyId === 'string' ? details.apiKeyId : null

function mountRoute(app: App, dialect: Dialect, route: Route, vocabulary: Vocabulary, server: FastifyInstance): void {
  const { read, place } = inputReader(dialect, route)
  const { credential, people = false, withoutOrganization = false, cookieOfPrograms = false, maxJsonValues, runs } = route
  const config = {
    door: dialect.name,
    credential,
    people,
    withoutOrganization,
    cookieOfPrograms,
    maxJsonValues,
    reads: runs === 'query',
    open: runs === 'visit',
  }
  const urls = pathsOf(route).flatMap((path) =>
    urlsOf(dialect.prefixes, [path]).map((url) => ({ url, headers: deprecationHeaders(deprecationOf(route, path)) })),
  )
  for (const { url, headers } of urls) {
    server.route({
      method: route.method,
      url,
      constraints: { dialect: dialect.name },
      config: { ...config, headers },
      exposeHeadRoute: route.method === 'GET',
      ...(route.maxBodyBytes === undefined ? {} : { bodyLimit: route.maxBodyBytes }),
      errorHandler: (error, request, reply) => refuse(app, dialect, request, reply, error, vocabularyOf(vocabulary, request.body)),
      async handler(request, reply) {
        const visit = { app, caller: request.restCaller, requestId: request.id, raw: request.raw }
        const running = route.run(visit, read(request), place(request))
        const { status, body, version, headers = {} } = await withinDeadline(app, running, route.timeoutMs?.(app.settings))
        reply.code(status).headers(headers)
        if (version === null) return reply.send(body ?? undefined)
        const text = JSON.stringify(body)
        const etag = etagOf(version, text)
        reply.header('etag', etag)
        if (route.method === 'GET' && isFresh(request.headers['if-none-match'], etag)) return reply.code(304).send()
        return reply.type('application/json; charset=utf-8').send(text)
      },
    })
  }
}

const deprecationHeaders = (deprecation: Deprecation | null): Record<string, string> =>
  deprecation ? { deprecation: `@${Math.floor(deprecation.since.getTime() / 1000)}`, sunset: deprecation.sunset.toUTCString() } : {}

/** Accepts an absent or empty body of any type as one without fields. Any other body must be JSON. */
function acceptJson(server: FastifyInstance): void {
  const parse = server.getDefaultJsonParser('error', 'error')
  server.removeAllContentTypeParsers()
  server.addContentTypeParser(/^application\/(?:[\w.-]+\+)?json\b/, { parseAs: 'buffer' }, (request, body, done) => {
    if (body.length === 0) return done(null, undefined)
    if (!isUtf8Type(request.headers['content-type'])) return done(unsupportedMediaType(), undefined)
    const refused = refusalOfJson(body as Buffer, request.routeOptions.config.maxJsonValues)
    if (refused) return done(refused, undefined)
    try {
      const text = utf8Text(body as Buffer)
      parse(request, text, (error, value) => done(error && isJson(text) ? forbiddenName() : error, value))
    } catch (error) {
      done(error as Error, undefined)
    }
  })
  server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    done(body.length === 0 ? null : unsupportedMediaType(), undefined)
  })
}

/** What the parser refuses although it is JSON: names that reach the prototype of an object. */
const forbiddenName = () =>
  errors.invalid_input({ text: 'A JSON body must not contain fields named `__proto__`, or `prototype` within `constructor`.' })

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const unsupportedMediaType = () => Object.assign(new Error('not JSON in UTF-8'), { statusCode: 415 })

/** Renders errors that occur before there is a request. */
const wordingOf = (faces: readonly Face[], dialect: Dialect): EarlyWording => ({
  owns: (path) => pickDialect(faces, path, {}) === dialect.name,
  body: ({ status, error: { code, message }, requestId }) =>
    dialect.renderError({
      ...{ status, code, text: message, requestId, isReadOnlyKey: false },
      ...{ field: undefined, problems: [], details: undefined },
    }),
})

function refuse(
  app: App,
  dialect: Dialect,
  request: FastifyRequest,
  reply: FastifyReply,
  error: unknown,
  vocabulary = noVocabulary,
): FastifyReply {
  const failure = failureOf(app, dialect, error, { requestId: request.id, isReadOnlyKey: isReadOnlyKey(dialect, request) }, vocabulary)
  const apiKeyId = failure.status === 401 ? refusedKeyOf(failure.details) : null
  if (apiKeyId !== null) nameKey(dialect, reply, apiKeyId)
  if (failure.status === 401) reply.header('www-authenticate', 'Bearer')
  const retryAfterSeconds = failure.details?.retryAfterSeconds
  if (typeof retryAfterSeconds === 'number') reply.header('retry-after', retryAfterSeconds)
  return reply.code(failure.status).send(dialect.renderError(failure))
}

const isReadOnlyKey = ({ readOnlyKeyPrefix }: Dialect, { restCaller, headers }: FastifyRequest): boolean =>
  Boolean(readOnlyKeyPrefix && restCaller && credentialOfHeaders(headers)?.text.startsWith(readOnlyKeyPrefix))
