/** What Odoo's exceptions mean, by class and message. Their tracebacks and anything about the server's machine stay here. */
import type { OdooFailureCode } from '../../domain/odoo/odoo-account/ports.ts'
import type { PortError } from '../../platform/errors.ts'
import { fail } from './exchange.ts'

/** An exception as Odoo serializes it. */
export type Raised = { name: string; message: string }

/** Reads an exception from `data` of a JSON-RPC error or from the body of a JSON-2 error. */
export function raisedOf(data: unknown): Raised {
  const { name, message } = (typeof data === 'object' && data !== null ? data : {}) as { name?: unknown; message?: unknown }
  return { name: typeof name === 'string' ? name : '', message: typeof message === 'string' ? message : '' }
}

/** Exceptions whose messages are meant for the caller, or are about what the caller sent. The messages of others may tell of the machine. */
const speaking = new RegExp(
  [
    /^(odoo|openerp)\.exceptions\.(UserError|RedirectWarning|AccessDenied|AccessError|MissingError|ValidationError|Warning|LockError|ConcurrencyError|except_orm)$/,
    /^builtins\.(TypeError|ValueError|AttributeError|KeyError|IndexError|AssertionError|NotImplementedError)$/,
    /^werkzeug\.exceptions\.\w+$/,
  ]
    .map(({ source }) => source)
    .join('|'),
)

/** Where a text for people turns into one for the operator of the server, which modules append to theirs. */
const inside = /(Remote\s+)?Traceback \(|File "[^"]*", line|psycopg\d?\.|connection to server (at|on socket) /i

/** Paths of files: in quotes, otherwise of two names or more, so that `and/or`, `INV/2026/1` and web addresses stay. */
const paths =
  /(?<=['"])\/[^'"\n/]+\/[^'"\n]*|(?<![^\s'"`(:=[,;])\/[^\s'"`<>()/:,;]+\/[^\s'"`<>():,;]*|file:\/\/[^\s'"]+|\b[a-z]:\\[^\s'"<>|]+/gi

const mask = '…'
const maxText = 2_000

/** Whatever else an exception is, its message is shown without the secret that was sent, without a traceback and without paths. */
function textOf({ name, message: whole }: Raised, secret: string): string {
  const message = withoutSecret(whole, secret)
  const kind = /\w{1,100}$/.exec(name)?.[0] ?? 'an error'
  const cut = message.search(inside)
  const text = (cut < 0 ? message : message.slice(0, cut).replace(/[\s:]+$/, '')).replace(paths, mask).trim()
  if (!speaking.test(name) || text === '') return `Odoo raised ${kind}.`
  return text.length > maxText ? `${text.slice(0, maxText)}…` : text
}

/** A message may quote the arguments of the request, in which the secret is one: as it is, or as Python or JSON writes it. */
function withoutSecret(text: string, secret: string): string {
  const escaped = secret.replaceAll('\\', '\\\\')
  const forms = [secret, escaped, escaped.replaceAll("'", "\\'"), escaped.replaceAll('"', '\\"')].flatMap((form) => [
    form,
    form.replace(/[^ -~]/gu, pythonEscape),
    form.replace(/[^ -~]/g, (unit) => `\\u${hex(unit.charCodeAt(0), 4)}`),
  ])
  // Longest first, so that nothing of an escaped form is left over.
  return [...new Set(forms)].sort((a, b) => b.length - a.length).reduce((rest, form) => rest.replaceAll(form, mask), text)
}

function pythonEscape(character: string): string {
  const point = character.codePointAt(0)!
  return point < 0x100 ? `\\x${hex(point, 2)}` : point < 0x10000 ? `\\u${hex(point, 4)}` : `\\U${hex(point, 8)}`
}

const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0')

/** What an exception means. `secret` is the one of the request that raised it. */
export function failureOf(raised: Raised, { secret }: { secret: string }): PortError<OdooFailureCode> {
  return fail(codeOf(raised), codeOf(raised) === 'NO_DATABASE' ? 'Odoo has no such database.' : textOf(raised, secret))
}

function codeOf({ name, message }: Raised): OdooFailureCode {
  const kind = name.split('.').at(-1)!
  // The connection to the database may break at any time, also while a method commits.
  if (name === 'psycopg2.OperationalError') return /database ".*" does not exist/.test(message) ? 'NO_DATABASE' : 'LOST'
  if (name.startsWith('psycopg2.')) return 'REFUSED'
  return byKind[kind] ?? (isUnknown(kind, message) ? 'NOT_FOUND' : 'REFUSED')
}

const byKind: Record<string, OdooFailureCode> = {
  AccessDenied: 'LOGIN_REFUSED',
  SessionExpiredException: 'LOGIN_REFUSED',
  Unauthorized: 'LOGIN_REFUSED',
  AccessError: 'ACCESS',
  Forbidden: 'ACCESS',
  MissingError: 'NOT_FOUND',
  NotFound: 'NOT_FOUND',
}

/** An unknown model is a UserError, and an unknown method an AttributeError about the model. Others of both are about something else. */
const isUnknown = (kind: string, message: string): boolean =>
  (kind === 'UserError' && /^Object \S+ doesn't exist$/.test(message.trim())) ||
  (kind === 'AttributeError' && /^(type object '[\w.]+'|'\w+(\.\w+)+' object|The method '[\w.]+')/.test(message.trim()))
