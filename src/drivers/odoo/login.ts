/** Users that logins have given, so that a call needs no login of its own: Odoo takes seconds to verify a password. */
import type { OdooConnection, OdooFailureCode } from '../../domain/odoo/odoo-account/ports.ts'
import { PortError } from '../../platform/errors.ts'

type Login = { uid: Promise<number>; refusedUntil: number | null }

export type Logins = {
  /** The user of a connection. Parallel callers share one login; a refusal is shared for a while. */
  get(connection: OdooConnection, logIn: () => Promise<number>): Promise<number>
  /** Forgets a user that Odoo no longer accepts, unless another caller has already renewed it. */
  forget(connection: OdooConnection, uid: number): void
}

/** Connections whose users are kept. Beyond it, the oldest are dropped. */
const most = 10_000
/** Time for which a refused login is not tried again, so that a wrong password does not keep Odoo busy. */
const refusedForMs = 10_000

export function createLogins(): Logins {
  const known = new Map<string, Login>()
  const uids = new WeakMap<Promise<number>, number>()
  return {
    get(connection, logIn) {
      const { key } = connection
      if (key === null) return logIn()
      const found = known.get(key)
      if (found && (found.refusedUntil === null || performance.now() < found.refusedUntil)) return found.uid
      const login: Login = { uid: logIn(), refusedUntil: null }
      known.delete(key)
      known.set(key, login)
      if (known.size > most) known.delete(known.keys().next().value!)
      login.uid.then(
        (uid) => uids.set(login.uid, uid),
        (error) => {
          if (isRefusal(error)) login.refusedUntil = performance.now() + refusedForMs
          else if (known.get(key) === login) known.delete(key)
        },
      )
      return login.uid
    },
    forget({ key }, uid) {
      if (key === null) return
      const found = known.get(key)
      if (found && uids.get(found.uid) === uid) known.delete(key)
    },
  }
}

const isRefusal = (error: unknown): boolean =>
  error instanceof PortError && (['LOGIN_REFUSED', 'NO_DATABASE'] as OdooFailureCode[]).includes(error.code as OdooFailureCode)
