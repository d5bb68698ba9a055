/**
 * A stand-in for an Odoo server: JSON-RPC, JSON-2, XML-RPC and the web client's session, with the envelopes of real servers. It keeps a few
 * records in memory, counts what it is asked, and can be told to misbehave.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'

const require = createRequire(import.meta.url)
const Deserializer = require('xmlrpc/lib/deserializer')
const Serializer = require('xmlrpc/lib/serializer')

type Row = { id: number; [field: string]: unknown }
// biome-ignore lint/suspicious/noExplicitAny: arguments of any method
type Method = (args: any[], kwargs: Record<string, any>) => unknown
type Call = { model: string; method: string; args: unknown[]; kwargs: Record<string, unknown> }

export type StandInOdoo = {
  url: string
  port: number
  database: string
  login: string
  password: string
  apiKey: string
  /** Calls of methods so far, in order of arrival. */
  calls: Call[]
  /** How often a login was verified. */
  logins: number
  /** Connections that were opened. */
  connections: number
  /** Records by model. */
  records: Map<string, Row[]>
  /** Methods beside those of all models, by `model.method`. They throw what `raise` makes. */
  methods: Map<string, Method>
  /** Answers in place of the server while it is set. */
  misbehave: ((request: IncomingMessage, response: ServerResponse, body: string) => void) | null
  /** Gives the user another id, as after a restore: what former logins gave is no longer accepted. */
  renumberUser(): void
  close(): Promise<void>
}

class Raised extends Error {
  readonly exception: string
  readonly status: number

  constructor(exception: string, message: string, status = 422) {
    super(message)
    this.exception = exception
    this.status = status
  }
}

/** An exception of Odoo, by its class. */
export const raise = (exception: string, message: string, status?: number): never => {
  throw new Raised(exception, message, status)
}

const traceback = (name: string, message: string) =>
  `Traceback (most recent call last):\n  File "/opt/odoo/odoo/http.py", line 1782, in _serve_db\n    return service_model.retrying()\n${name}: ${message}\n`

export async function startOdoo({ port = 0, orders = 40 } = {}): Promise<StandInOdoo> {
  let uid = 2
  const odoo: StandInOdoo = {
    ...{ url: '', port: 0, database: 'acme', login: 'admin', password: 'admin-password', apiKey: 'admin-api-key' },
    ...{ calls: [], logins: 0, connections: 0, methods: new Map(), misbehave: null, records: sampleRecords(orders) },
    renumberUser() {
      uid++
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }

  const demandDatabase = (name: unknown) => {
    if (name !== odoo.database)
      raise(
        'psycopg2.OperationalError',
        `connection to server on socket "/var/run/postgresql/.s.PGSQL.5432" failed: FATAL:  database "${name}" does not exist\n`,
      )
  }
  const isSecret = (text: unknown) => text === odoo.password || text === odoo.apiKey
  const authenticate = ([database, login, secret]: unknown[]): number | false => {
    demandDatabase(database)
    odoo.logins++
    return login === odoo.login && isSecret(secret) ? uid : false
  }
  const call = (model: string, method: string, args: unknown[], kwargs: Record<string, unknown>): unknown => {
    odoo.calls.push({ model, method, args, kwargs })
    if (method.startsWith('_'))
      raise('odoo.exceptions.AccessError', `Private methods (such as '${model}.${method}') cannot be called remotely.`)
    const own = odoo.methods.get(`${model}.${method}`)
    if (own) return own(args, kwargs)
    const rows = odoo.records.get(model) ?? raise('odoo.exceptions.UserError', `Object ${model} doesn't exist`)
    const common = methodsOf(rows)[method] ?? raise('builtins.AttributeError', `type object '${model}' has no attribute '${method}'`)
    return common(args, kwargs)
  }
  const executeKw = ([database, user, secret, model, method, args = [], kwargs = {}]: unknown[]): unknown => {
    demandDatabase(database)
    if (user !== uid || !isSecret(secret)) raise('odoo.exceptions.AccessDenied', 'Access Denied', 401)
    return call(model as string, method as string, args as unknown[], kwargs as Record<string, unknown>)
  }
  const service = (name: string, method: string, args: unknown[]): unknown => {
    if (name === 'common' && method === 'version')
      return { server_version: '17.0', server_version_info: [17, 0, 0, 'final', 0, ''], server_serie: '17.0', protocol_version: 1 }
    if (name === 'common' && method === 'authenticate') return authenticate(args)
    if (name === 'object' && method === 'execute_kw') return executeKw(args)
    return raise('builtins.KeyError', `'${name}'`)
  }

  const json = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) =>
    response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers }).end(JSON.stringify(body))
  const errorData = (error: unknown) => {
    const { exception: name, message } = error instanceof Raised ? error : new Raised('builtins.Exception', String(error))
    return { name, debug: traceback(name, message), message, arguments: [message], context: {} }
  }

  /** Always 200, with the exception in the envelope. */
  const answerRpc = (response: ServerResponse, id: unknown, run: () => unknown, headers?: Record<string, string>) => {
    try {
      json(response, 200, { jsonrpc: '2.0', id, result: run() ?? null }, headers)
    } catch (error) {
      json(response, 200, { jsonrpc: '2.0', id, error: { code: 200, message: 'Odoo Server Error', data: errorData(error) } })
    }
  }

  const answerJson2 = (
    request: IncomingMessage,
    response: ServerResponse,
    model: string,
    method: string,
    body: Record<string, unknown>,
  ) => {
    try {
      demandDatabase(request.headers['x-odoo-database'])
      if (request.headers.authorization?.replace(/^bearer /i, '') !== odoo.apiKey)
        raise('werkzeug.exceptions.Unauthorized', 'Invalid apikey', 401)
      const { ids, context: _, ...named } = body
      json(response, 200, call(model, method, ids === undefined ? [] : [ids], named) ?? null)
    } catch (error) {
      json(response, error instanceof Raised ? error.status : 500, errorData(error))
    }
  }

  const answerXml = (response: ServerResponse, name: string, body: string) =>
    new Deserializer('utf8').deserializeMethodCall(Readable.from([body]), (fault: Error | null, method: string, args: unknown[]) => {
      if (fault) return response.writeHead(400).end()
      response.writeHead(200, { 'content-type': 'text/xml' })
      try {
        response.end(Serializer.serializeMethodResponse(service(name, method, args)))
      } catch (error) {
        response.end(Serializer.serializeFault({ faultCode: 1, faultString: errorData(error).debug }))
      }
    })

  const answer = (request: IncomingMessage, response: ServerResponse, text: string): unknown => {
    const [path] = request.url!.split('?')
    const xml = /^\/xmlrpc\/2\/(common|object)$/.exec(path!)
    if (xml) return answerXml(response, xml[1]!, text)
    const body = JSON.parse(text || '{}')
    if (path === '/jsonrpc') {
      const { service: name, method, args } = body.params
      return answerRpc(response, body.id, () => service(name, method, args))
    }
    const json2 = /^\/json\/2\/([^/]+)\/([^/]+)$/.exec(path!)
    if (json2) return answerJson2(request, response, decodeURIComponent(json2[1]!), decodeURIComponent(json2[2]!), body)
    if (path === '/web/session/authenticate') {
      const { db, login, password } = body.params
      const session = () =>
        authenticate([db, login, password]) ? { uid, username: login, db } : raise('odoo.exceptions.AccessDenied', 'Access Denied')
      return answerRpc(response, body.id, session, { 'set-cookie': 'session_id=session-of-admin; HttpOnly; Path=/' })
    }
    if (path === '/web/dataset/call_kw') {
      const { model, method, args, kwargs } = body.params
      const hasSession = request.headers.cookie?.includes('session_id=session-of-admin')
      return answerRpc(response, body.id, () =>
        hasSession ? call(model, method, args, kwargs) : raise('odoo.http.SessionExpiredException', 'Session expired'),
      )
    }
    return response.writeHead(404, { 'content-type': 'text/html; charset=utf-8' }).end('<!doctype html><title>404 Not Found</title>')
  }

  const server = createServer(async (request, response) => {
    const body = await buffer(request).catch(() => null)
    if (body === null) return
    if (odoo.misbehave) return odoo.misbehave(request, response, body.toString())
    answer(request, response, body.toString())
  })
  server.on('connection', () => {
    odoo.connections++
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  odoo.port = (server.address() as AddressInfo).port
  odoo.url = `http://127.0.0.1:${odoo.port}`
  return odoo
}

function sampleRecords(orders: number): Map<string, Row[]> {
  const order = (id: number) => ({
    ...{ id, name: `S${String(id).padStart(5, '0')}`, state: id % 3 ? 'sale' : 'draft', date_order: '2026-05-04 09:30:00' },
    ...{ amount_total: 100.5 + id, partner_id: [1, 'Azure Interior'], user_id: [2, 'Mitchell Admin'], note: false },
  })
  return new Map<string, Row[]>([
    [
      'res.partner',
      [
        { id: 1, name: 'Azure Interior', email: 'azure@example.com', is_company: true },
        { id: 2, name: 'Deco Addict', email: false, is_company: true },
      ],
    ],
    ['res.users', [{ id: 2, name: 'Mitchell Admin', login: 'admin' }]],
    ['sale.order', Array.from({ length: orders }, (_, index) => order(index + 1))],
  ])
}

const pick = (row: Row, fields?: string[]) =>
  fields?.length
    ? Object.fromEntries(['id', ...fields].map((field) => [field, row[field] ?? raise('builtins.ValueError', `Invalid field '${field}'`)]))
    : row

/** Methods that every model has, over its rows. Domains with `=` are applied; other conditions hold for all rows. */
function methodsOf(rows: Row[]): Record<string, Method> {
  const found = (domain: unknown[] = []) =>
    rows.filter((row) => domain.every((term) => !Array.isArray(term) || term[1] !== '=' || row[term[0] as string] === term[2]))
  const page = <T>(list: T[], { offset = 0, limit }: { offset?: number; limit?: number }) =>
    list.slice(offset, limit ? offset + limit : undefined)
  return {
    search: ([domain], kwargs) => page(found(domain ?? kwargs.domain), kwargs).map(({ id }) => id),
    search_count: ([domain], kwargs) => found(domain ?? kwargs.domain).length,
    search_read: ([domain, fields], kwargs) =>
      page(found(domain ?? kwargs.domain), kwargs).map((row) => pick(row, fields ?? kwargs.fields)),
    read: ([ids, fields], kwargs) => rows.filter(({ id }) => [ids].flat().includes(id)).map((row) => pick(row, fields ?? kwargs.fields)),
    fields_get: () => Object.fromEntries(Object.keys(rows[0] ?? {}).map((name) => [name, { type: 'char', string: name }])),
    context_get: () => ({ lang: 'en_US', tz: 'Europe/Brussels', uid: 2 }),
    create: ([values], kwargs) => {
      const given = values ?? kwargs.vals_list
      const added = [given]
        .flat()
        .map((fields: object, index: number) => ({ ...fields, id: Math.max(0, ...rows.map(({ id }) => id)) + 1 + index }))
      rows.push(...added)
      return Array.isArray(given) ? added.map(({ id }) => id) : added[0]!.id
    },
    write: ([ids, values], kwargs) => {
      for (const row of rows) if ([ids].flat().includes(row.id)) Object.assign(row, values ?? kwargs.vals)
      return true
    },
    unlink: ([ids]) => {
      for (const id of [ids].flat())
        rows.splice(
          rows.findIndex((row) => row.id === id),
          1,
        )
      return true
    },
  }
}
