/**
 * Calls Odoo servers over HTTP. The HTTP drivers it is given check addresses, keep connections and never follow redirects. Of each server
 * only its answers are believed: they are bounded, and what is shown of an error is chosen here.
 */
import type { Odoo, OdooLimits } from '../../domain/odoo/odoo-account/ports.ts'
import { PortError } from '../../platform/errors.ts'
import type { Routes } from './exchange.ts'
import { callMethod, checkKey } from './json-2.ts'
import { authenticate, executeKw, version } from './json-rpc.ts'
import { createLogins } from './login.ts'

export function createOdoo(routes: Routes): Odoo {
  const logins = createLogins()
  const boundsOf = ({ timeoutMs, maxAnswerBytes }: OdooLimits) => ({ deadline: performance.now() + timeoutMs, maxAnswerBytes })
  return {
    async version(connection, limits) {
      try {
        return await version(routes, connection, boundsOf(limits))
      } catch (error) {
        // JSON-RPC may be gone where JSON-2 is spoken.
        if (connection.transport === 'JSON_2' && error instanceof PortError && error.code === 'NOT_ODOO') return null
        throw error
      }
    },
    async logIn(connection, limits) {
      if (connection.transport === 'JSON_2') await checkKey(routes, connection, boundsOf(limits))
      else await authenticate(routes, connection, boundsOf(limits))
    },
    call(connection, call, limits) {
      const bounds = boundsOf(limits)
      if (connection.transport === 'JSON_2') return callMethod(routes, { connection, call, bounds })
      return executeKw(routes, logins, connection, call, bounds)
    },
  }
}
