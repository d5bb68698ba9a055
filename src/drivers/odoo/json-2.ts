/** JSON-2, `/json/2/<model>/<method>`, from Odoo 19 on. Errors have a status, and every argument has a name. */
import type { OdooCall, OdooConnection } from '../../domain/odoo/odoo-account/ports.ts'
import { type Exchange, exchange, fail, notOdoo, type Routes } from './exchange.ts'
import { failureOf, raisedOf } from './failure.ts'

type Bounds = Pick<Exchange, 'deadline' | 'maxAnswerBytes'>

export async function callMethod(
  routes: Routes,
  { connection, call, bounds }: { connection: OdooConnection; call: OdooCall; bounds: Bounds },
): Promise<unknown> {
  const { status, json } = await exchange(routes, connection, {
    path: `/json/2/${encodeURIComponent(call.model)}/${encodeURIComponent(call.method)}`,
    headers: { authorization: `Bearer ${connection.secret}`, 'x-odoo-database': connection.database },
    body: namedArguments(call),
    isRepeatable: call.isRead,
    ...bounds,
  })
  if (status >= 200 && status < 300) return json
  const raised = raisedOf(json)
  if (raised.name === '') throw notOdoo(connection, status, 'JSON that is no error of Odoo')
  if (status === 401) throw fail('LOGIN_REFUSED', 'Odoo does not accept the API key of the account.')
  throw failureOf(raised, connection)
}

/** Throws unless the key is accepted. Every user may read the own context. */
export async function checkKey(routes: Routes, connection: OdooConnection, bounds: Bounds): Promise<void> {
  const call = { model: 'res.users', method: 'context_get', args: [], kwargs: {}, isRead: true }
  await callMethod(routes, { connection, call, bounds })
}

/** Names of the positional arguments of the methods that every model has. Those that begin with `ids` act on records. */
const parameters: Record<string, readonly string[]> = {
  search: ['domain', 'offset', 'limit', 'order'],
  search_read: ['domain', 'fields', 'offset', 'limit', 'order'],
  search_count: ['domain', 'limit'],
  search_fetch: ['domain', 'field_names', 'offset', 'limit', 'order'],
  name_search: ['name', 'domain', 'operator', 'limit'],
  read: ['ids', 'fields', 'load'],
  create: ['vals_list'],
  write: ['ids', 'vals'],
  unlink: ['ids'],
  copy: ['ids', 'default'],
  exists: ['ids'],
  name_create: ['name'],
  default_get: ['fields'],
  fields_get: ['allfields', 'attributes'],
  read_group: ['domain', 'fields', 'groupby', 'offset', 'limit', 'orderby', 'lazy'],
  formatted_read_group: ['domain', 'groupby', 'aggregates', 'having', 'offset', 'limit', 'order'],
}

/** Other methods take nothing, or the records that they act on. */
const ofRecords = ['ids']

function namedArguments({ method, args, kwargs }: OdooCall): Record<string, unknown> {
  const names = Object.hasOwn(parameters, method) ? parameters[method]! : ofRecords
  const isOther = names === ofRecords
  if (args.length > names.length || (isOther && args.length === 1 && !isIds(args[0])))
    throw fail('POSITIONAL', `args: the account uses JSON-2, which takes no positional arguments for ${method}. Name them in kwargs.`)
  const twice = names.slice(0, args.length).find((name) => Object.hasOwn(kwargs, name))
  if (twice !== undefined)
    throw fail('POSITIONAL', `args: the account uses JSON-2, and ${twice} of ${method} is given in args and in kwargs.`)
  return { ...Object.fromEntries(args.map((value, index) => [names[index], value])), ...kwargs }
}

const isIds = (value: unknown): boolean => Array.isArray(value) && value.every((id) => Number.isInteger(id))
