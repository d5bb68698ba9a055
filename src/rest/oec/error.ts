/** Errors of the contract: `{error, message, detail?}`, with the field `task_id` or `retry_after` where it applies. */
import { z } from 'zod'
import type { CredentialProblem } from '../../platform/credential.ts'
import type { Failure, Named } from '../core/index.ts'

const schema = z
  .object({
    error: z.string().describe('Machine-readable code of the error.'),
    message: z.string().describe('Human-readable description of the error.'),
    detail: z
      .array(z.object({ field: z.string().describe('Name of the field.'), message: z.string() }))
      .optional()
      .describe('Fields of the request that are not valid.'),
    task_id: z.string().optional().describe('With `task_in_progress`: ID of the task in progress.'),
    retry_after: z.int().optional().describe('With `rate_limit_exceeded`: time to wait, in seconds.'),
  })
  .describe('An error.')

export const errorBody: Named = { id: 'Error', schema }

const credentialCodes: Record<CredentialProblem, string> = {
  missing: 'missing_auth',
  malformed: 'invalid_key_format',
  unknown: 'invalid_key',
  expired: 'key_expired',
  revoked: 'invalid_key',
}

const forbiddenCode = ({ isReadOnlyKey, details }: Failure): string => {
  if (details?.requires === 'organization') return 'org_scope_required'
  return isReadOnlyKey && !String(details?.permission).startsWith('view:') ? 'read_only_key' : 'forbidden'
}

/** Codes by status. An error with another status keeps the code of the domain. */
const codes: Record<number, (failure: Failure) => string> = {
  400: () => 'validation_error',
  401: ({ details }) => credentialCodes[details?.reason as CredentialProblem] ?? 'invalid_key',
  403: forbiddenCode,
  404: () => 'not_found',
  408: () => 'validation_error',
  422: () => 'validation_error',
  429: () => 'rate_limit_exceeded',
  431: () => 'validation_error',
  500: () => 'internal_error',
}

const texts: Record<string, string> = {
  missing_auth: 'An API key is required, as `Authorization: Bearer oec_live_…` or `X-API-Key`.',
  invalid_key_format: 'The credential does not have the form of an API key, which begins with oec_live_ro_ or oec_live_rw_.',
  invalid_key: 'The API key does not exist or was revoked.',
  key_expired: 'The API key has expired.',
  read_only_key: 'This API key is read-only. Use a key with full access.',
  org_scope_required: 'This API key is limited to a project. Use a key of the whole organization.',
}

export function renderError(failure: Failure): z.output<typeof schema> {
  const { status, code, text, problems, details } = failure
  const error = codes[status]?.(failure) ?? code
  const { taskId, retryAfterSeconds } = details ?? {}
  return {
    error,
    message: texts[error] ?? text,
    ...(problems.length > 0 && error === 'validation_error'
      ? { detail: problems.map(({ field, text: message }) => ({ field, message })) }
      : {}),
    ...(typeof taskId === 'string' ? { task_id: taskId } : {}),
    ...(typeof retryAfterSeconds === 'number' && error === 'rate_limit_exceeded' ? { retry_after: retryAfterSeconds } : {}),
  }
}
