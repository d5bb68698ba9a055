/** Users that logins have given, so that a call needs no login of its own: Odoo takes seconds to verify a password. */
import type { OdooConnection, OdooFailureCode } from '../../domain/odoo/odoo-account/ports.ts'
import { PortError } from '../../platform/errors.ts'

type Login = { uid: Promise<number>; refusedUntil: number | null; renewableAt: number }

export type Logins = {
  /** The user of a connection. Parallel callers share one login; a refusal is shared for a while. */
  get(connection: OdooConnection, logIn: () => Promise<number>): Promise<number>
  /**
   * The user of a new login, after Odoo refused a call of `uid`, unless another caller has already renewed it. There is at most one new login
   * in a while: until then the user stays what it is, because a method that refuses by itself says nothing about the login.
   */
  renew(connection: OdooConnection, uid: number, logIn: () => Promise<number>): Promise<number>
}

/** Connections whose users are kept. Beyond it, the oldest are dropped. */
const most = 10_000
/** Time for which a refused login is not tried again, so that a wrong password does not keep Odoo busy. */
const refusedForMs = 10_000
/** Time between the renewals of a login. */
const renewedForMs = 10_000

export function createLogins(): Logins {
  const known = new Map<string, Login>()
  const uids = new WeakMap<Promise<number>, number>()
  /** `former` is known again if the login is neither accepted nor refused. */
  const begin = (key: string, logIn: () => Promise<number>, renewableAt: number, former?: Login): Promise<number> => {
    const login: Login = { uid: logIn(), refusedUntil: null, renewableAt }
    known.delete(key)
    known.set(key, login)
    if (known.size > most) known.delete(known.keys().next().value!)
    login.uid.then(
      (uid) => uids.set(login.uid, uid),
      (error) => {
        if (isRefusal(error)) login.refusedUntil = performance.now() + refusedForMs
        else if (known.get(key) === login) former ? known.set(key, former) : known.delete(key)
      },
    )
    return login.uid
  }
  return {
    get({ key }, logIn) {
      if (key === null) return logIn()
      const found = known.get(key)
      if (found && (found.refusedUntil === null || performance.now() < found.refusedUntil)) return found.uid
      return begin(key, logIn, 0)
    },
    renew({ key }, uid, logIn) {
      if (key === null) return logIn()
      const found = known.get(key)
      const isRenewed = found && (uids.get(found.uid) !== uid || performance.now() < found.renewableAt)
      return isRenewed ? found.uid : begin(key, logIn, performance.now() + renewedForMs, found)
    },
  }
}

const isRefusal = (error: unknown): boolean =>
  error instanceof PortError && (['LOGIN_REFUSED', 'NO_DATABASE'] as OdooFailureCode[]).includes(error.code as OdooFailureCode)
