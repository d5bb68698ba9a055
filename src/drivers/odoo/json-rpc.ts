/** JSON-RPC, `/jsonrpc`. Every answer has the status 200, with an `error` in its envelope if something was raised. */
import type { OdooCall, OdooConnection } from '../../domain/odoo/odoo-account/ports.ts'
import { PortError } from '../../platform/errors.ts'
import { type Exchange, exchange, fail, notOdoo, type Routes } from './exchange.ts'
import { failureOf, raisedOf } from './failure.ts'
import type { Logins } from './login.ts'

type Bounds = Pick<Exchange, 'deadline' | 'maxAnswerBytes'>

type Rpc = { service: 'common' | 'object'; method: string; args: readonly unknown[] } & Pick<Exchange, 'isRepeatable' | 'fresh'>

/** The result of one call of a service. */
async function rpc(routes: Routes, connection: OdooConnection, { isRepeatable, fresh, ...params }: Rpc, bounds: Bounds): Promise<unknown> {
  const body = { jsonrpc: '2.0', method: 'call', id: 1, params }
  const { status, json } = await exchange(routes, connection, { path: '/jsonrpc', body, isRepeatable, fresh, ...bounds })
  const { jsonrpc, result, error } = (typeof json === 'object' && json !== null ? json : {}) as Record<string, unknown>
  if (jsonrpc !== '2.0') throw notOdoo(connection, status, 'JSON that is no JSON-RPC')
  if (error !== undefined && error !== null) throw failureOf(raisedOf((error as { data?: unknown }).data), connection)
  // Older versions leave out a result that is None.
  return result ?? null
}

export async function version(routes: Routes, connection: OdooConnection, bounds: Bounds): Promise<string | null> {
  const asked = { service: 'common', method: 'version', args: [], isRepeatable: true, fresh: true } as const
  const found = await rpc(routes, connection, asked, bounds)
  const { server_version: text } = (found ?? {}) as { server_version?: unknown }
  return typeof text === 'string' ? text.slice(0, 100) : null
}

/** The id of the user. Throws LOGIN_REFUSED if Odoo does not accept the login, which it answers with `false`. */
export async function authenticate(routes: Routes, connection: OdooConnection, bounds: Bounds): Promise<number> {
  const { database, login, secret } = connection
  const asked = { service: 'common', method: 'authenticate', args: [database, login, secret, {}], isRepeatable: true } as const
  const uid = await rpc(routes, connection, asked, bounds)
  if (typeof uid !== 'number') throw refused()
  return uid
}

const refused = () => fail('LOGIN_REFUSED', 'Odoo does not accept the login and secret of the account.')

/**
 * Calls a method with the cached login. Odoo checks the login before anything else, so a call that it refuses for that is sent again. If the
 * login is still good, the method itself has refused, and a call that may change something is not repeated.
 */
export async function executeKw(
  routes: Routes,
  logins: Logins,
  connection: OdooConnection,
  call: OdooCall,
  bounds: Bounds,
): Promise<unknown> {
  const { model, method, args, kwargs, isRead } = call
  const logIn = () => authenticate(routes, connection, bounds)
  const execute = (uid: number) => {
    const all = [connection.database, uid, connection.secret, model, method, args, kwargs]
    return rpc(routes, connection, { service: 'object', method: 'execute_kw', args: all, isRepeatable: isRead }, bounds)
  }
  const uid = await logins.get(connection, logIn)
  try {
    return await execute(uid)
  } catch (error) {
    if (!isLoginRefused(error)) throw error
    const renewed = await logins.renew(connection, uid, logIn)
    if (renewed === uid && !isRead) throw fail('ACCESS', (error as PortError<string>).message, error)
    return await execute(renewed)
  }
}

const isLoginRefused = (error: unknown): boolean => error instanceof PortError && error.code === 'LOGIN_REFUSED'
