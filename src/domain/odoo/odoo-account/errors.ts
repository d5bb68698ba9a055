import { defineErrors } from '../../../platform/errors.ts'

/** Failures of Odoo servers, for all concepts that call them. The texts are replaced by what happened. */
export const odooErrors = defineErrors({
  odoo_unreachable: { kind: 'upstream', text: 'The Odoo server cannot be reached.' },
  odoo_timeout: { kind: 'timeout', text: 'The Odoo server did not answer in time.' },
  odoo_access_error: { kind: 'forbidden', text: 'Odoo does not allow this to the user of the account.' },
  odoo_not_found: { kind: 'not_found', text: 'Odoo has no such database, model, method or record.' },
  odoo_error: { kind: 'unprocessable', text: 'Odoo refused the call.' },
})
