/** One call of a method of Odoo: allowed, in its turn, within its time, recorded and counted, and once for an idempotency key. */
import type { Act, Request } from '../../../platform/command.ts'
import { DomainError, PortError } from '../../../platform/errors.ts'
import { effectOnce } from '../../../platform/idempotency.ts'
import { type OdooFailureCode, odooErrorOf, odooErrors, odooPort } from '../odoo-account/index.ts'
import type { CalledAccount } from './account.ts'
import { bytesOf, holdBytes } from './load.ts'
import { odooCalls } from './metrics.ts'
import { demandAllowed, isRead } from './model.ts'
import { recordCall } from './record.ts'
import { takeTurn } from './turn.ts'

export type MethodCall = {
  model: string
  method: string
  args?: unknown[] | null | undefined
  kwargs?: Record<string, unknown> | null | undefined
}

/** `find` finds the account anew, and throws if the caller may no longer call it. */
type Terms = { operation: string; idempotency: Idempotency; timeoutMs: number; find: () => Promise<CalledAccount> }

type Idempotency = Parameters<Act<unknown, unknown>>[2]

export type CallResult = { data: unknown }

/** Calls a method. Throws a DomainError for everything that Odoo or the way to it causes. */
export async function callMethod(
  request: Request,
  account: CalledAccount,
  call: MethodCall,
  { operation, idempotency, timeoutMs, find }: Terms,
): Promise<CallResult> {
  const { app, caller } = request
  const { model, method } = call
  const startedAt = performance.now()
  const end = (errorCode: string | null) => {
    const ms = performance.now() - startedAt
    odooCalls.observe({ outcome: errorCode ?? 'ok' }, ms / 1_000)
    recordCall(app, { caller, odooAccountId: account.id, model, method, durationMs: Math.round(ms), errorCode })
  }
  const run = () => send(request, account.id, call, { timeoutMs, find })
  let release = () => {}
  try {
    demandAllowed(call, account.allowance)
    release = holdBytes(app, account.id, bytesOf([call.args, call.kwargs]))
    const result =
      // A read can be sent again anyway, and its answer may have changed.
      idempotency && !isRead(method)
        ? await effectOnce(request, { operation, ...idempotency, maxMs: timeoutMs + marginMs, run, isUncertain })
        : await run()
    end(null)
    return result
  } catch (error) {
    end(error instanceof DomainError ? error.code : 'internal')
    throw error
  } finally {
    release()
  }
}

/** Beyond the time of a call, for a clock that differs and for the statement that records the outcome. */
const marginMs = 30_000

async function send({ app }: Request, id: string, call: MethodCall, { timeoutMs, find }: Pick<Terms, 'timeoutMs' | 'find'>) {
  const { model, method, args, kwargs } = call
  const deadline = performance.now() + timeoutMs
  const leave = await takeTurn(app, id, timeoutMs)
  try {
    // The key may have been revoked while the call waited, and the account deleted or changed.
    const { connection, allowance } = await find()
    demandAllowed(call, allowance)
    const limits = { timeoutMs: Math.max(1, deadline - performance.now()), maxAnswerBytes: app.settings.ODOO_MAX_ANSWER_BYTES }
    const sent = { model, method, args: args ?? [], kwargs: kwargs ?? {}, isRead: isRead(method) }
    const data = await odooPort
      .use(app)
      .call(connection, sent, limits)
      .catch((error: unknown) => {
        throw allowance ? errorForKey(error) : odooErrorOf(error)
      })
    return { data }
  } finally {
    leave()
  }
}

/** Holders of a key need not know the addresses in the reason. Those who manage the account see it by `callOdoo` and speed tests. */
function errorForKey(error: unknown): DomainError {
  if (!(error instanceof PortError && error.code === ('UNREACHABLE' satisfies OdooFailureCode))) return odooErrorOf(error)
  return odooErrors.odoo_unreachable({ text: "The Odoo server of the key's account cannot be reached.", cause: error })
}

const uncertain: ReadonlySet<string> = new Set<OdooFailureCode>(['LOST', 'TIMEOUT', 'TOO_LARGE'])

/** Whether Odoo may have executed a call that failed. A fault of our own says nothing about it. */
const isUncertain = (error: unknown): boolean =>
  !(error instanceof DomainError) || (error.cause instanceof PortError && uncertain.has(error.cause.code))
