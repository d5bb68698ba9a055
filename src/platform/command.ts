/**
 * Commands and queries are declared once and offered by every door. `execute` runs them in the same order for all doors: decode ids, check the
 * permission, (`prepare`), claim the idempotency key, find the target in scope, validate the input, check the version, make the change with
 * its event rows, and write the audit entry. Everything from the idempotency key on is one transaction.
 */
import { isDeepStrictEqual } from 'node:util'
import type { z } from 'zod'
import { administration, type Caller, type Permission, principalOf } from './access.ts'
import { type AuditTarget, writeAudit } from './audit.ts'
import { recordRefusal } from './audit-refusal.ts'
import { type Sql, sql, type Tx } from './db/index.ts'
import { errors } from './errors.ts'
import type { EventDefinition } from './events.ts'
import { decodeId, type IdType, nilId } from './id.ts'
import { claimIdempotencyKey } from './idempotency.ts'
import { absent, constraintOf, describeIssue, reasonOf } from './wording.ts'
import { type App, transact, type Work } from './work.ts'

/** A request of one caller through one door. */
export type Request = { app: App; caller: Caller; requestId: string }

/** Decoded ids by their path in the input. A malformed or absent id is `nilId`. */
export type Ids = Record<string, string>

/** The input paths that contain ids: `id`, `projectId`, `bindings.*.secretId`. */
export type IdPaths = Record<string, IdType>

/** A row that a command changes: `ifVersion` is compared with its version, and the audit entry names its id. */
export type Target = { id: string; version?: number }

// biome-ignore lint/suspicious/noExplicitAny: what `prepare` hands to `run` concerns nobody else
export type Command<Input, Row extends Target | null, Result extends object, Prepared = any> = {
  name: string
  description: string
  /**
   * Null: every authenticated caller may run it, such as a command on one's own account. What requires the permission of administrators acts in
   * no organization, and is audited in the log of the installation.
   */
  permission: Permission | null
  ids: IdPaths
  /** The type of the target or, if the command has none, of the row that it creates, for the audit entry. */
  targetType: IdType | null
  /** The type of the row that the command creates below its target. The audit entry is then about that row. */
  creates?: IdType
  /** Finds and locks the row that the command changes, within the caller's scope. Null fails with `not_found`. Omitted: no target. */
  target?: (work: Work, ids: Ids) => Promise<Row | null>
  input: z.ZodType<Input>
  emits: readonly EventDefinition[]
  /** Fields of the result that are returned only once: a repeated answer has null there. */
  once?: readonly (keyof Result & string)[]
  /**
   * Slow work that locks no rows, such as a DNS lookup or a question to another server. It runs before the transaction, if the caller has the permission and the input is valid.
   * It must not refuse: `run` evaluates its result, so that a stored answer, a missing target and a conflict take precedence.
   */
  prepare?: (request: Request, input: NoInfer<Input>) => Promise<Prepared>
  run: (work: Work, input: Input, target: Row, prepared: Prepared) => Promise<Soon<Result>>
  /** Replaces `run` for a command that was declared by `defineAct`. */
  act?: Act<Input, Result>
  /** Details of the audit entry in addition to action and target. They must not contain values of variables. */
  audited?: (input: NoInfer<Input>, result: NoInfer<Result>) => Record<string, unknown>
  /** The new values of the target's columns, for a command whose result is known only after the commit. */
  changed?: (input: NoInfer<Input>, target: NoInfer<Row>) => object
}

/** `idempotency` has the key of the request and the input that repetitions must be equal to; null without a key. */
export type Act<Input, Result> = (
  request: Request,
  input: NoInfer<Input>,
  idempotency: { key: string; input: object } | null,
) => Promise<Result>

export type Query<Input, Result> = {
  name: string
  description: string
  permission: Permission | null
  ids: IdPaths
  input: z.ZodType<Input>
  run: (read: Read, input: Input) => Promise<Result>
}

/** The context of a query. */
export type Read = {
  app: App
  caller: Caller
  tx: Tx
  requestId: string
  /** Columns that the result needs if it is made of rows; all of them if undefined. */
  columns?: readonly string[]
}

/** A result whose parts may be promises: their statements then need no round trip of their own, but travel with the commit. */
export type Soon<Result> = { [Name in keyof Result]: Result[Name] | Promise<Result[Name]> }

/** Declares a command, which its concept then lists. */
export const defineCommand = <Input, Result extends object, Row extends Target | null = null, Prepared = void>(
  command: Command<Input, Row, Result, Prepared>,
): Command<Input, Row, Result> => command

/**
 * Declares a command whose effect is on another system. It has no transaction and no audit entry: its concept keeps a record of its own, finds
 * what the caller may see, and has the effect once for an idempotency key (`effectOnce`).
 */
export const defineAct = <Input, Result extends object>(
  declared: Pick<Command<Input, null, Result>, 'name' | 'description' | 'permission' | 'ids' | 'input'> & { act: Act<Input, Result> },
): Command<Input, null, Result> => ({
  ...declared,
  targetType: null,
  emits: [],
  run() {
    throw new Error(`${declared.name} has no transaction`)
  },
})

/** Declares a query, which its concept then lists. */
export const defineQuery = <Input, Result>(query: Query<Input, Result>): Query<Input, Result> => query

export function demand(caller: Caller, permission: Permission): void {
  if (!caller.permissions.has(permission)) throw errors.forbidden({ details: { permission } })
}

/** The request, by a caller who has the permission. That of administrators is used in no organization. Throws `forbidden`. */
function permitted(request: Request, permission: Permission | null): Request {
  if (permission === null) return request
  demand(request.caller, permission)
  return permission === administration ? { ...request, caller: asAdministrator(request.caller) } : request
}

const asAdministrator = (caller: Caller): Caller => ({
  ...caller,
  organizationId: nilId,
  permissions: new Set([administration]),
  projectIds: null,
})

/** The id of the user who is signed in. Throws `forbidden` for other callers, such as API keys: they don't act on accounts. */
export function demandPerson({ subject, userId }: Caller): string {
  if (subject.type !== 'user' || userId === null) throw errors.forbidden({ text: 'Only a signed-in user can do this, not an API key.' })
  return userId
}

/** Throws `forbidden` unless the caller is this user, who is signed in: accounts show nothing of their own to others. */
export function demandSelf(caller: Caller, userId: string): void {
  if (demandPerson(caller) !== userId) throw errors.forbidden({ text: 'Only the user can see this part of the account.' })
}

/**
 * Condition for the rows that a caller may see, of a table with these two columns: those of its organization, and, if the caller is limited to
 * projects, of those projects.
 */
export const visible = (caller: Caller, alias: Sql, projectColumn: Sql = sql`project_id`): Sql =>
  caller.projectIds === null
    ? sql`${alias}.organization_id = ${caller.organizationId}::uuid`
    : sql`${alias}.organization_id = ${caller.organizationId}::uuid and ${alias}.${projectColumn} = any(${caller.projectIds}::uuid[])`

/** Condition for the rows of a table whose rows belong to the organization as a whole: a caller that is limited to projects sees none. */
export const ofOrganization = (caller: Caller, alias: Sql): Sql =>
  caller.projectIds === null ? sql`${alias}.organization_id = ${caller.organizationId}::uuid` : sql`false`

/** Throws `forbidden` for a caller that is limited to projects. `act` says what such a caller cannot do. */
export function demandOrganization(caller: Caller, act: string): void {
  if (caller.projectIds !== null)
    throw errors.forbidden({ text: `A caller that is limited to certain projects cannot ${act}.`, details: { requires: 'organization' } })
}

/**
 * The project that something belongs to which was requested without one: that of a caller who has access to one project only. Null for the
 * organization as a whole. Throws `invalid_input` for a caller that is limited to several projects or none and must choose.
 */
export function impliedProject({ projectIds }: Caller): string | null {
  if (projectIds === null) return null
  if (projectIds.length === 1) return projectIds[0]!
  throw errors.invalid_input({ field: 'projectId', text: 'projectId: is required because your access is limited to certain projects' })
}

export type CommandInput = Record<string, unknown> & {
  idempotencyKey?: string | null | undefined
  /** The versions that the target may have. Null means any. */
  ifVersion?: number | readonly number[] | null | undefined
}

/** Runs a command for a caller. Throws DomainError for every failure that a caller can cause. */
export async function execute<Input, Row extends Target | null, Result extends object>(
  request: Request,
  command: Command<Input, Row, Result>,
  rawInput: CommandInput,
): Promise<Result> {
  try {
    return await perform(request, command, rawInput)
  } catch (error) {
    await recordRefusal(request, command, rawInput, error)
    throw error
  }
}

async function perform<Input, Row extends Target | null, Result extends object>(
  asked: Request,
  command: Command<Input, Row, Result>,
  rawInput: CommandInput,
): Promise<Result> {
  if (asked.app.domain.commands.get(command.name) !== command) throw new Error(`no concept declares the command ${command.name}`)
  const { idempotencyKey, ifVersion, ...rest } = rawInput
  const input = decodeIds(rest, command.ids)
  const request = permitted(asked, command.permission)
  demandText({ idempotencyKey })
  if (command.act) {
    const idempotency = idempotencyKey ? { key: idempotencyKey, input: rawInput } : null
    return command.act(request, parseInput(command.input, input), idempotency)
  }
  const prepared = await prepare(request, command, input)
  const { app, caller, requestId } = request
  const result = await transact(app, caller, { requestId, emits: command.emits }, async (work): Promise<Soon<Result>> => {
    const key = idempotencyKey ? await claimIdempotencyKey(work, principalOf(work.caller), command.name, idempotencyKey, rawInput) : null
    if (key?.answer) return key.answer as Result
    const target = await findTarget(work, command, input)
    const parsed = parseInput(command.input, input)
    demandVersion(target, ifVersion)
    const soon = await command.run(work, parsed, target as Row, prepared)
    // A result that travels with the commit is awaited only if something that is written depends on it.
    const isNeeded = key !== null || command.audited !== undefined || command.changed === undefined || !hasPromise(soon)
    const result = isNeeded ? await known(soon) : null
    writeAudit(work, {
      action: command.name,
      target: auditTarget(command, parsed, target as Row, result),
      details: command.audited?.(parsed, result!) ?? {},
    })
    key?.store(withoutOnce(result!, command.once ?? []))
    return result ?? soon
  })
  return known(result)
}

function demandVersion(target: Target | null, ifVersion: CommandInput['ifVersion']): void {
  if (ifVersion === undefined || ifVersion === null || target?.version === undefined || [ifVersion].flat().includes(target.version)) return
  throw errors.version_conflict({
    field: 'ifVersion',
    text: `The object is at version ${target.version} now. Read it again, then retry with its current version.`,
    details: { currentVersion: target.version },
  })
}

const hasPromise = (soon: object): boolean => Object.values(soon).some((value) => value instanceof Promise)

/** The row that the audit entry of a command is about, before and after. The result of a command that creates a row begins with that row. */
function auditTarget<Input, Row extends Target | null, Result extends object>(
  { targetType, creates, changed }: Command<Input, Row, Result>,
  input: Input,
  target: Row,
  result: Result | null,
): AuditTarget | null {
  const type = creates ?? targetType
  if (type === null) return null
  if (target === null || creates) {
    const created = result && rowOf(result, (id) => typeof id === 'string')
    return created ? { type, before: null, after: created } : { type, id: null }
  }
  if (changed) return { type, before: target, after: { ...target, ...changed(input, target) } }
  if (result && 'deletedId' in result && result.deletedId === target.id) return { type, before: target, after: null }
  return { type, before: target, after: result ? rowOf(result, (id) => id === target.id) : undefined }
}

/** The first row of a result whose id fulfils a condition. */
function rowOf(result: object, condition: (id: unknown) => boolean): { id: string } | undefined {
  for (const value of Object.values(result)) if (condition(value?.id)) return value
}

/** Waits for the parts of a result. */
export async function known<Result extends object>(soon: Soon<Result>): Promise<Result> {
  const names = Object.keys(soon)
  const values = await Promise.all(Object.values(soon))
  return Object.fromEntries(names.map((name, index) => [name, values[index]])) as Result
}

async function prepare<Input, Row extends Target | null, Result extends object>(
  request: Request,
  command: Command<Input, Row, Result>,
  input: Record<string, unknown>,
): Promise<unknown> {
  if (!command.prepare) return undefined
  let parsed: Input
  try {
    parsed = parseInput(command.input, input)
  } catch {
    // `execute` refuses it later, in the right order.
    return undefined
  }
  return command.prepare(request, parsed)
}

/** Runs a query for a caller. */
export async function ask<Input, Result>(
  request: Request,
  query: Query<Input, Result>,
  rawInput: Record<string, unknown>,
  columns?: readonly string[],
): Promise<Result> {
  if (request.app.domain.queries.get(query.name) !== query) throw new Error(`no concept declares the query ${query.name}`)
  try {
    const { app, caller, requestId } = permitted(request, query.permission)
    const input = parseInput(query.input, decodeIds(rawInput, query.ids))
    return await query.run({ app, caller, tx: app.db, requestId, columns }, input)
  } catch (error) {
    await recordRefusal(request, query, rawInput, error)
    throw error
  }
}

async function findTarget<Input, Row extends Target | null, Result extends object>(
  work: Work,
  command: Command<Input, Row, Result>,
  input: Record<string, unknown>,
): Promise<Row | null> {
  if (!command.target) return null
  // The first id identifies the target. Of the others, only those in the input restrict it.
  const given = Object.entries(command.ids).filter(([path], index) => index === 0 || (input[path] !== undefined && input[path] !== null))
  const ids = Object.fromEntries(given.map(([path, type]) => [path, decodeId(type, input[path])]))
  const target = await command.target(work, ids)
  if (!target) throw errors.not_found({ field: Object.keys(command.ids)[0] })
  return target
}

function decodeIds(input: Record<string, unknown>, paths: IdPaths): Record<string, unknown> {
  const decoded = { ...input }
  for (const { head, isList, field, type } of placesOf(paths)) {
    const value = decoded[head]
    if (isList && field && Array.isArray(value)) {
      // A value that is no object is left unchanged, and the schema refuses it.
      decoded[head] = value.map((item) => (isObject(item) ? { ...item, [field]: decodeId(type, item[field]) } : item))
    } else if (isList && Array.isArray(value)) {
      decoded[head] = value.map((item) => decodeId(type, item))
    } else if (!isList && value !== undefined && value !== null && value !== absent) {
      decoded[head] = decodeId(type, value)
    }
  }
  return decoded
}

type Place = { head: string; isList: boolean; field: string | undefined; type: IdType }

const knownPlaces = new WeakMap<IdPaths, readonly Place[]>()

/** The places that paths name. They are taken apart once for each declaration. */
function placesOf(paths: IdPaths): readonly Place[] {
  const known = knownPlaces.get(paths)
  if (known) return known
  const places = Object.entries(paths).map(([path, type]): Place => {
    const [head, star, field] = path.split('.') as [string, string?, string?]
    return { head, isList: star === '*', field, type }
  })
  knownPlaces.set(paths, places)
  return places
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

/**
 * Validates a value against a schema. Throws `invalid_input` with the first problem as `field` and message, and all of them in
 * `details.issues`, each with a reason (a value is missing, has another type, or is not allowed) and the rule that is broken. Text that can't
 * be stored is refused anywhere, whatever the schema says.
 */
export function parseInput<Input>(schema: z.ZodType<Input>, input: unknown): Input {
  demandText(input)
  const parsed = schema.safeParse(input, { error: describeIssue })
  if (parsed.success) return parsed.data
  const issues = parsed.error.issues.map((issue) => {
    const value = issue.path.reduce<unknown>((within, name) => (within as Record<PropertyKey, unknown> | undefined)?.[name], input)
    return { field: issue.path.join('.'), message: issue.message, reason: reasonOf(issue, value), constraint: constraintOf(issue, value) }
  })
  const first = issues[0]!
  throw errors.invalid_input({
    text: first.field ? `${first.field}: ${first.message}` : first.message,
    field: first.field,
    details: { issues },
    cause: parsed.error,
  })
}

/** PostgreSQL can't store NUL, and an unpaired surrogate would be replaced by another character. */
const problemOfText = (text: string): string | null =>
  text.includes('\0') ? 'must not contain a NUL character' : text.isWellFormed() ? null : 'must be valid Unicode text'

/** Checks every string and property name within a value. Not recursive, because a body may be nested deeper than the stack allows. */
function demandText(input: unknown): void {
  const left: [string, unknown][] = [['', input]]
  for (let next = left.pop(); next; next = left.pop()) {
    const [path, value] = next
    const problem = typeof value === 'string' ? problemOfText(value) : null
    if (problem) throw refusedText(path, problem)
    if (!isObject(value) || ArrayBuffer.isView(value)) continue
    for (const [name, item] of Object.entries(value)) {
      const wrong = problemOfText(name)
      if (wrong) throw refusedText(path, wrong)
      left.push([path ? `${path}.${name}` : name, item])
    }
  }
}

const refusedText = (path: string, problem: string) =>
  errors.invalid_input({ text: path ? `${path}: ${problem}` : `The input ${problem}.`, field: path })

/** Whether an update would change a row, that is, whether a field is given and differs. */
export const changes = (row: object, data: object): boolean =>
  Object.entries(data).some(([field, value]) => value !== undefined && !isDeepStrictEqual(value, row[field as keyof typeof row]))

function withoutOnce<Result extends object>(result: Result, once: readonly string[]): object {
  return Object.fromEntries(Object.entries(result).map(([name, value]) => [name, once.includes(name) ? null : value]))
}
