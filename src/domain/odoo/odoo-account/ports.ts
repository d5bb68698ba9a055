/** What the domain needs of Odoo servers. */
import { definePort } from '../../../platform/port.ts'

/** `JSON_RPC`: `/jsonrpc`, which logs in with the password and gets the id of the user. `JSON_2`: `/json/2`, from Odoo 19 on, with an API key. */
export type OdooTransport = 'JSON_RPC' | 'JSON_2'

export type OdooConnection = {
  /** Names the connection with its present settings. Logins are cached by it; null: not cached. */
  key: string | null
  /** Without a trailing slash. Null if the server was a service of this installation that is deleted: nothing is sent. */
  url: string | null
  /** Whether the server is a service of this installation, which is reached through the router. */
  isLocal: boolean
  database: string
  login: string
  secret: string
  transport: OdooTransport
}

export type OdooCall = {
  model: string
  method: string
  args: readonly unknown[]
  kwargs: Readonly<Record<string, unknown>>
  /** Whether the method only reads, so that the call may be sent again after a fault. */
  isRead: boolean
}

/** Limits of a whole operation, including a login before it. */
export type OdooLimits = { timeoutMs: number; maxAnswerBytes: number }

/**
 * `UNREACHABLE`: nothing was executed. `LOST` and `TIMEOUT`: the request was sent and no usable answer came, so it may have been executed.
 * `TOO_LARGE`: it was executed, and the answer exceeds the limit. `NOT_ODOO`: the server answers, but not as Odoo does. `NO_DATABASE`,
 * `LOGIN_REFUSED`: as they say. `ACCESS`: the user may not. `NOT_FOUND`: no such model, method or record. `REFUSED`: any other error that
 * Odoo raised. `POSITIONAL`: the transport takes only named arguments for this method, so nothing was sent.
 */
export type OdooFailureCode =
  | 'UNREACHABLE'
  | 'LOST'
  | 'TIMEOUT'
  | 'TOO_LARGE'
  | 'NOT_ODOO'
  | 'NO_DATABASE'
  | 'LOGIN_REFUSED'
  | 'ACCESS'
  | 'NOT_FOUND'
  | 'REFUSED'
  | 'POSITIONAL'

/**
 * Calls Odoo servers. Every method throws PortError<OdooFailureCode>, whose message may be shown: it is Odoo's own where Odoo has one for
 * people, and never contains a traceback, a path or the address of a database.
 */
export interface Odoo {
  /** Version of the server, such as `17.0`. Null if the server does not say. Asked on a new connection, so that its time includes the handshake. */
  version(connection: OdooConnection, limits: OdooLimits): Promise<string | null>
  /** Throws unless the login is accepted. Not cached. */
  logIn(connection: OdooConnection, limits: OdooLimits): Promise<void>
  /**
   * Calls a method of a model and returns its result, plain JSON. The login is cached, shared by parallel calls, and renewed once if Odoo no
   * longer accepts it.
   */
  call(connection: OdooConnection, call: OdooCall, limits: OdooLimits): Promise<unknown>
}

export const odooPort = definePort<Odoo>('Odoo')
