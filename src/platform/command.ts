/**
 * Commands and queries, declared once and offered by every door, and `execute`, the one order in which they run:
 * ids decoded -> permission -> (`prepare`) -> idempotency -> target in scope -> input -> version -> the change with its outbox and
 * audit rows, all from idempotency on in one transaction.
 */
import { isDeepStrictEqual } from 'node:util'
import type { z } from 'zod'
import { type Caller, type Permission, principalOf } from './access.ts'
import { writeAudit } from './audit.ts'
import { type Sql, sql, type Tx } from './db/index.ts'
import { errors } from './errors.ts'
import type { EventDefinition } from './events.ts'
import { decodeId, type IdType } from './id.ts'
import { claimIdempotencyKey } from './idempotency.ts'
import { describeIssue } from './wording.ts'
import { type App, transact, type Work } from './work.ts'

/** A request of one caller through one door. */
export type Request = { app: App; caller: Caller; requestId: string }

/** Decoded ids by their path in the input; a malformed or absent one is `nilId`. */
export type Ids = Record<string, string>

/** Which input paths hold ids: `id`, `projectId`, `bindings.*.secretId`. */
export type IdPaths = Record<string, IdType>

/** A row that can be changed: what `ifVersion` is compared with, and what the audit row names. */
export type Target = { id: string; version?: number }

// biome-ignore lint/suspicious/noExplicitAny: what `prepare` hands to `run` concerns nobody else
export type Command<Input, Row extends Target | null, Result extends object, Prepared = any> = {
  name: string
  description: string
  permission: Permission
  ids: IdPaths
  /** The type of what `target` finds, for the audit row. */
  targetType: IdType | null
  /** The row that the command is about, locked, within the caller's scope; null answers `not_found`. Absent: no target. */
  target?: (work: Work, ids: Ids) => Promise<Row | null>
  input: z.ZodType<Input>
  emits: readonly EventDefinition[]
  /** Fields of the result that are shown once: a repeated answer has null there. */
  once?: readonly (keyof Result & string)[]
  /**
   * Slow work without rows, such as a DNS lookup, before the transaction; only for a caller with the permission and input that fits.
   * It doesn't refuse: `run` judges what it gives, so that a stored answer, a missing target and a conflict go before.
   */
  prepare?: (app: App, input: NoInfer<Input>) => Promise<Prepared>
  run: (work: Work, input: Input, target: Row, prepared: Prepared) => Promise<Result>
  /** What the audit row tells beside action and target; never a value. */
  audited?: (input: NoInfer<Input>, result: NoInfer<Result>) => Record<string, unknown>
}

export type Query<Input, Result> = {
  name: string
  description: string
  permission: Permission | null
  ids: IdPaths
  input: z.ZodType<Input>
  run: (read: Read, input: Input) => Promise<Result>
}

/** What a query reads with. */
export type Read = { app: App; caller: Caller; tx: Tx; requestId: string }

/** Declares a command. Its concept lists it. */
export const defineCommand = <Input, Result extends object, Row extends Target | null = null, Prepared = void>(
  command: Command<Input, Row, Result, Prepared>,
): Command<Input, Row, Result> => command

/** Declares a query. Its concept lists it. */
export const defineQuery = <Input, Result>(query: Query<Input, Result>): Query<Input, Result> => query

export function demand(caller: Caller, permission: Permission): void {
  if (!caller.permissions.has(permission)) throw errors.forbidden({ details: { permission } })
}

/** The rows that a caller may see of a table with these two columns: its organization's, and its project's where it has one. */
export const visible = (caller: Caller, alias: Sql, projectColumn: Sql = sql`project_id`): Sql =>
  caller.projectId === null
    ? sql`${alias}.organization_id = ${caller.organizationId}::uuid`
    : sql`${alias}.organization_id = ${caller.organizationId}::uuid and ${alias}.${projectColumn} = ${caller.projectId}::uuid`

export type CommandInput = Record<string, unknown> & { idempotencyKey?: string | null | undefined; ifVersion?: number | null | undefined }

/** Runs a command for a caller. Throws DomainError for everything that a caller can bring about. */
export async function execute<Input, Row extends Target | null, Result extends object>(
  request: Request,
  command: Command<Input, Row, Result>,
  rawInput: CommandInput,
): Promise<Result> {
  if (request.app.domain.commands.get(command.name) !== command) throw new Error(`no concept declares the command ${command.name}`)
  const { idempotencyKey, ifVersion, ...rest } = rawInput
  const input = decodeIds(rest, command.ids)
  demand(request.caller, command.permission)
  demandText({ idempotencyKey })
  const prepared = await prepare(request.app, command, input)
  const { app, caller, requestId } = request
  return transact(app, caller, { requestId, emits: command.emits }, async (work) => {
    const key = idempotencyKey ? await claimIdempotencyKey(work, principalOf(work.caller), command.name, idempotencyKey, rawInput) : null
    if (key?.answer) return key.answer as Result
    const target = await findTarget(work, command, input)
    const parsed = parseInput(command.input, input)
    if (ifVersion !== undefined && ifVersion !== null && target?.version !== undefined && target.version !== ifVersion) {
      throw errors.version_conflict({ field: 'ifVersion', details: { currentVersion: target.version } })
    }
    const result = await command.run(work, parsed, target as Row, prepared)
    await writeAudit(work, {
      action: command.name,
      targetType: command.targetType,
      targetId: target?.id ?? createdId(result),
      details: command.audited?.(parsed, result) ?? {},
    })
    await key?.store(withoutOnce(result, command.once ?? []))
    return result
  })
}

async function prepare<Input, Row extends Target | null, Result extends object>(
  app: App,
  command: Command<Input, Row, Result>,
  input: Record<string, unknown>,
): Promise<unknown> {
  if (!command.prepare) return undefined
  let parsed: Input
  try {
    parsed = parseInput(command.input, input)
  } catch {
    // It is refused in its turn.
    return undefined
  }
  return command.prepare(app, parsed)
}

/** Runs a query for a caller. */
export async function ask<Input, Result>(
  request: Request,
  query: Query<Input, Result>,
  rawInput: Record<string, unknown>,
): Promise<Result> {
  if (request.app.domain.queries.get(query.name) !== query) throw new Error(`no concept declares the query ${query.name}`)
  if (query.permission !== null) demand(request.caller, query.permission)
  const input = parseInput(query.input, decodeIds(rawInput, query.ids))
  return query.run({ app: request.app, caller: request.caller, tx: request.app.db.prisma, requestId: request.requestId }, input)
}

async function findTarget<Input, Row extends Target | null, Result extends object>(
  work: Work,
  command: Command<Input, Row, Result>,
  input: Record<string, unknown>,
): Promise<Row | null> {
  if (!command.target) return null
  // The first names the target; of the others only those that were given narrow it.
  const given = Object.entries(command.ids).filter(([path], index) => index === 0 || (input[path] !== undefined && input[path] !== null))
  const ids = Object.fromEntries(given.map(([path, type]) => [path, decodeId(type, input[path])]))
  const target = await command.target(work, ids)
  if (!target) throw errors.not_found({ field: Object.keys(command.ids)[0] })
  return target
}

function decodeIds(input: Record<string, unknown>, paths: IdPaths): Record<string, unknown> {
  const decoded = { ...input }
  for (const [path, type] of Object.entries(paths)) {
    const [head, star, field] = path.split('.')
    const value = decoded[head!]
    if (star === '*' && field && Array.isArray(value)) {
      // What is no object stays as it is, and the schema refuses it.
      decoded[head!] = value.map((item) => (isObject(item) ? { ...item, [field]: decodeId(type, item[field]) } : item))
    } else if (star === '*' && Array.isArray(value)) {
      decoded[head!] = value.map((item) => decodeId(type, item))
    } else if (star === undefined && value !== undefined && value !== null) {
      decoded[head!] = decodeId(type, value)
    }
  }
  return decoded
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

/**
 * Checks a value against a schema; the first problem is `field` and text, all of them stand in `details.issues`. Text that can't be
 * stored is refused wherever it stands, whatever the schema says.
 */
export function parseInput<Input>(schema: z.ZodType<Input>, input: unknown): Input {
  demandText(input)
  const parsed = schema.safeParse(input, { error: describeIssue })
  if (parsed.success) return parsed.data
  const issues = parsed.error.issues.map((issue) => ({ field: issue.path.join('.'), message: issue.message }))
  const first = issues[0]!
  throw errors.invalid_input({
    text: first.field ? `${first.field}: ${first.message}` : first.message,
    field: first.field,
    details: { issues },
    cause: parsed.error,
  })
}

/** PostgreSQL holds no NUL, and half of a surrogate pair would come back as another character. */
const problemOfText = (text: string): string | null =>
  text.includes('\0') ? 'must not contain a NUL character' : text.isWellFormed() ? null : 'must be valid Unicode text'

/** Judges every text and every name within a value. Without recursion: a body may be nested deeper than the stack. */
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

/** Whether an update would change a row: a field that is given, and isn't as it is. */
export const changes = (row: object, data: object): boolean =>
  Object.entries(data).some(([field, value]) => value !== undefined && !isDeepStrictEqual(value, row[field as keyof typeof row]))

/** A create answers `{ project: row }`: its only row with an id is what was made. */
const createdId = (result: object): string | null => {
  for (const value of Object.values(result)) if (typeof value?.id === 'string') return value.id
  return null
}

function withoutOnce<Result extends object>(result: Result, once: readonly string[]): object {
  return Object.fromEntries(Object.entries(result).map(([name, value]) => [name, once.includes(name) ? null : value]))
}
