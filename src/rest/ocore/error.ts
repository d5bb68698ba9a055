/** Errors of the contract: `{error: {code, message, details}}`. */
import { z } from 'zod'
import { defineErrors } from '../../platform/errors.ts'
import type { Failure, Named } from '../core/index.ts'

export const contractErrors = defineErrors({
  missing_organization: { kind: 'invalid', text: 'X-Org-Slug: must be the slug of one of your organizations' },
})

const schema = z
  .object({
    error: z.object({
      code: z.string().describe('Machine-readable code of the error.'),
      message: z.string().describe('Human-readable description of the error.'),
      details: z.object({
        field: z.string().optional().describe('Name of the field that is not valid.'),
        constraint: z.string().optional().describe('Rule that the field breaks, such as `required`, `min_length` or `slug_taken`.'),
        retryAfterSeconds: z.int().optional().describe('With `rate_limited`: time to wait, in seconds.'),
      }),
    }),
  })
  .describe('An error.')

export const errorBody = { id: 'Error', schema } satisfies Named

/** Conflicts with the state of an object are 422 in this contract; 409 is for duplicates, and for what is still in use. */
export const statusOfCode: Readonly<Record<string, number>> = Object.fromEntries(
  [
    'deployment_in_progress',
    'last_organization',
    'last_owner',
    'no_live_deployment',
    'rollback_not_eligible',
    'totp_enabled',
    'totp_not_enabled',
    'totp_not_set_up',
    'webhook_endpoint_disabled',
  ].map((code) => [code, 422]),
)

/** Codes by status. An error with another status keeps the code of the domain. */
const codes: Record<number, (failure: Failure) => string> = {
  400: ({ code }) => (code === 'missing_organization' ? code : 'validation_error'),
  401: ({ details }) => (details?.reason === 'expired' ? 'token_expired' : 'unauthorized'),
  403: () => 'forbidden',
  404: () => 'not_found',
  409: () => 'conflict',
  422: () => 'unprocessable',
  429: () => 'rate_limited',
  500: () => 'internal_error',
}

export function renderError(failure: Failure): z.output<typeof schema> {
  const { status, code, text, field, problems, details } = failure
  const { retryAfterSeconds } = details ?? {}
  const known = {
    ...(field === undefined ? {} : { field }),
    ...(problems[0] === undefined ? {} : { constraint: problems[0].constraint }),
    ...(typeof retryAfterSeconds === 'number' ? { retryAfterSeconds } : {}),
  }
  // A sentence of its own needs no name of its field, which `details` tells.
  const message = field !== undefined && /^[A-Z]/.test(text.slice(`${field}: `.length)) ? text.replace(`${field}: `, '') : text
  return { error: { code: codes[status]?.(failure) ?? code, message, details: known } }
}
