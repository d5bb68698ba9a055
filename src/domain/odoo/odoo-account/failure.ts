/** Failures of the port as errors that callers see. */
import { type DomainError, type ErrorConstructor, errors, PortError } from '../../../platform/errors.ts'
import { odooErrors } from './errors.ts'
import type { OdooFailureCode } from './ports.ts'

const known: Record<OdooFailureCode, ErrorConstructor> = {
  UNREACHABLE: odooErrors.odoo_unreachable,
  LOST: odooErrors.odoo_unreachable,
  NOT_ODOO: odooErrors.odoo_unreachable,
  TOO_LARGE: odooErrors.odoo_error,
  TIMEOUT: odooErrors.odoo_timeout,
  NO_DATABASE: odooErrors.odoo_not_found,
  LOGIN_REFUSED: odooErrors.odoo_access_error,
  ACCESS: odooErrors.odoo_access_error,
  NOT_FOUND: odooErrors.odoo_not_found,
  REFUSED: odooErrors.odoo_error,
  POSITIONAL: errors.invalid_input,
}

export const isOdooFailure = (error: unknown): error is PortError<OdooFailureCode> => error instanceof PortError && error.code in known

/** The error for what a call of the port threw. Anything else than its failures is thrown again. */
export function odooErrorOf(error: unknown, { field }: { field?: string | undefined } = {}): DomainError {
  if (!isOdooFailure(error)) throw error
  return known[error.code]({ text: error.message, cause: error, ...(field === undefined ? {} : { field }) })
}

/** Which setting of an account is wrong, by the failure of its test. */
export const wrongField: Record<OdooFailureCode, string | undefined> = {
  UNREACHABLE: 'url',
  LOST: 'url',
  TIMEOUT: 'url',
  TOO_LARGE: 'url',
  NOT_ODOO: 'url',
  NO_DATABASE: 'database',
  LOGIN_REFUSED: 'secret',
  ACCESS: 'login',
  NOT_FOUND: 'transport',
  REFUSED: undefined,
  POSITIONAL: undefined,
}
