import { z } from 'zod'
import { defineAct, demandOrganization } from '../../../platform/command.ts'
import { unauthenticated } from '../../../platform/credential.ts'
import { errors } from '../../../platform/errors.ts'
import { accountOfKey, visibleAccount } from './account.ts'
import { callMethod } from './call.ts'
import { callFields } from './model.ts'

export const bridgeCallCommand = defineAct({
  name: 'bridgeCall',
  description:
    'Calls a method of a model of Odoo through the account that the API key is bound to, as `execute_kw` does. Fails with `method_not_allowed` unless the API key allows the model and the method. Methods that begin with `_` are never called. A call that changes something is sent once: after a fault, its outcome may be unknown. With an idempotency key, it can be sent again safely.',
  permission: 'call:odoo',
  ids: {},
  input: z.object(callFields),
  async act(request, call, idempotency) {
    const { app, caller } = request
    const find = async () => {
      const account = caller.apiKeyId === null ? null : await accountOfKey(app)(caller.apiKeyId)
      // A person, or a key of another kind or that is no longer valid.
      if (!account) throw unauthenticated(caller.apiKeyId === null ? 'missing' : 'unknown')
      return account
    }
    const account = await find()
    demandOrganization(caller, 'call Odoo')
    return callMethod(request, account, call, { operation: 'bridgeCall', idempotency, timeoutMs: app.settings.ODOO_TIMEOUT_MS, find })
  },
})

export const callOdoo = defineAct({
  name: 'callOdoo',
  description:
    'Calls a method of a model of Odoo through an account, as `execute_kw` does, within the time of an API request. Fails with `odoo_error` and the message of Odoo if Odoo refuses the call. Methods that begin with `_` are never called. A call that changes something is sent once: after a fault, its outcome may be unknown. With an idempotency key, it can be sent again safely.',
  permission: 'manage:odoo',
  ids: { odooAccountId: 'OdooAccount' },
  input: z.object({ odooAccountId: z.string(), ...callFields }),
  async act(request, { odooAccountId, ...call }, idempotency) {
    const find = async () => {
      const account = await visibleAccount(request, odooAccountId)
      if (!account) throw errors.not_found({ field: 'odooAccountId' })
      return account
    }
    const { ODOO_TIMEOUT_MS, REQUEST_TIMEOUT_MS } = request.app.settings
    const timeoutMs = Math.min(ODOO_TIMEOUT_MS, REQUEST_TIMEOUT_MS * 0.9)
    return callMethod(request, await find(), call, { operation: 'callOdoo', idempotency, timeoutMs, find })
  },
})
