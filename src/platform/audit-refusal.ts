/**
 * Audit entries of commands and queries that were refused: DENIED for want of a permission, FAILED for a fault of Quayside, of something
 * that it depends on, or of a limit. Errors in the input, conflicts and unknown ids are not recorded. Each entry has a transaction of its
 * own, because that of the command is rolled back.
 *
 * A flood of refusals can't fill the table. Of equal ones (same caller, action, target and code), the first one is written at once and the
 * others of that minute are counted: their number is one entry at its end. At most 100 different ones per organization and minute have
 * entries of their own; the others are counted together, in an entry with the action `refusals`. Each process counts for itself, and one that
 * ends loses the counts of its last minute.
 */
import { principalOf } from './access.ts'
import { type AuditOutcome, type AuditTarget, auditName, writeAudit } from './audit.ts'
import type { Chore } from './claim.ts'
import type { IdPaths, Request } from './command.ts'
import { row, sql } from './db/index.ts'
import { DomainError } from './errors.ts'
import { createFailureLog } from './failure-log.ts'
import { currentOrigin, type Origin, onBehalfOf } from './forwarded.ts'
import { decodeId, type IdType, nilId } from './id.ts'
import { refusalOf } from './outage.ts'
import { perApp } from './per-app.ts'
import { type App, transact, type Work } from './work.ts'

const windowMs = 60_000
/** Entries of different refusals per organization and window. */
const mostPerWindow = 100
/** Organizations that are counted at once. The refusals of others are not recorded; their requests are refused all the same. */
const mostOrganizations = 10_000

type Refusal = {
  request: Request
  origin: Origin | null
  action: string
  outcome: AuditOutcome
  target: AuditTarget | null
  details: object
}

type Window = { endsAt: number; repeats: Map<string, { refusal: Refusal; count: number }> }

const recorderOf = perApp(createRecorder)

/** Errors that have been handled here. A command's error also reaches the door that answers it. */
const handled = new WeakSet<object>()

/** Records a refusal, if it is one of those that are. Never throws: a refusal that can't be recorded is logged. */
export async function recordRefusal(
  request: Request,
  { name, ids }: { name: string; ids: IdPaths },
  input: Record<string, unknown>,
  error: unknown,
): Promise<void> {
  if (!(error instanceof Error) || handled.has(error)) return
  handled.add(error)
  const reason = reasonOf(request.app, error)
  if (reason) await recorderOf(request.app).record(request, name, ids, input, reason)
}

type Reason = { outcome: AuditOutcome; code: string; details: object }

const failures: ReadonlySet<string> = new Set(['rate_limited', 'upstream', 'timeout', 'internal'])

function reasonOf(app: App, error: unknown): Reason | null {
  // An aborted request has no outcome, and during an outage nothing can be written.
  if (error instanceof Error && error.name === 'AbortError') return null
  const known = error instanceof DomainError ? error : refusalOf(app, error)
  if (!known) return { outcome: 'FAILED', code: 'internal', details: { code: 'internal' } }
  const { code, kind, details } = known
  if (kind === 'forbidden') return { outcome: 'DENIED', code, details: { code, permission: details?.permission } }
  return failures.has(kind) ? { outcome: 'FAILED', code, details: { code } } : null
}

function createRecorder(app: App) {
  const windows = new Map<string, Window>()
  const log = createFailureLog(app, { failed: 'a refusal could not be audited', recovered: 'refusals can be audited again' })

  const write = async ({ request, origin, action, outcome, target, details }: Refusal, repeated = 0): Promise<void> => {
    const run = () =>
      transact(app, request.caller, { requestId: request.requestId }, async (work) => {
        if (!(await exists(work))) return
        writeAudit(work, { action, outcome, target, details: repeated === 0 ? { ...details } : { ...details, repeated } })
      })
    try {
      await (origin ? onBehalfOf(origin, run) : run())
      log.succeeded()
    } catch (error) {
      log.failed(error)
    }
  }

  const windowOf = (organizationId: string): Window | null => {
    const known = windows.get(organizationId)
    if (known) return known
    if (windows.size >= mostOrganizations) return null
    const window: Window = { endsAt: performance.now() + windowMs, repeats: new Map() }
    windows.set(organizationId, window)
    return window
  }

  const endWindows = async (now: number): Promise<void> => {
    const ended = [...windows].filter(([, { endsAt }]) => endsAt <= now)
    for (const [id] of ended) windows.delete(id)
    for (const [, { repeats }] of ended) for (const { refusal, count } of repeats.values()) if (count > 0) await write(refusal, count)
  }

  const record = async (request: Request, name: string, ids: IdPaths, input: Record<string, unknown>, reason: Reason): Promise<void> => {
    const { caller } = request
    const window = windowOf(caller.organizationId)
    if (!window) return
    const named = namedTarget(ids, input)
    const key = [principalOf(caller), name, named?.id, reason.code].join()
    const known = window.repeats.get(key)
    if (known) {
      known.count++
      return
    }
    const refusal = { request, origin: currentOrigin(), action: name, outcome: reason.outcome, target: named, details: reason.details }
    if (window.repeats.size < mostPerWindow) {
      window.repeats.set(key, { refusal, count: 0 })
      await write({ ...refusal, target: named && (await withName(request, named).catch(() => named)) })
      return
    }
    const others = window.repeats.get('') ?? { refusal: { ...refusal, action: 'refusals', target: null, details: {} }, count: 0 }
    others.count++
    window.repeats.set('', others)
  }

  return { record, endWindows }
}

/** Whether the caller's organization has not been deleted since. It is not deleted before the commit. */
const exists = async ({ tx, caller }: Work): Promise<boolean> =>
  (await row(tx, sql`select 1 as one from organization where id = ${caller.organizationId}::uuid for key share`)) !== null

type Named = { type: IdType; id: string }

/** The object that the first id of the input names, whether it exists or not. */
function namedTarget(ids: IdPaths, input: Record<string, unknown>): Named | null {
  const first = Object.entries(ids)[0]
  if (!first) return null
  const [path, type] = first
  const id = decodeId(type, input[path])
  return id === nilId ? null : { type, id }
}

/** With the name, if the caller may see the object at all. */
async function withName({ app, caller }: Request, named: Named): Promise<AuditTarget> {
  const listing = app.domain.nodes.get(named.type)
  if (!listing) return named
  const reader = { tx: app.db, caller, columns: ['id', listing.nameColumn] }
  const row = (await listing.findOne(reader, sql`t.id = ${named.id}::uuid`)) as { id: string } | null
  return row ? { ...named, name: auditName(listing.nameColumn, row) } : named
}

/** Writes the numbers of refusals whose minute is over. */
export const endRefusalWindows = (app: App, now = performance.now()): Promise<void> => recorderOf(app).endWindows(now)

export const countRefusals: Chore = { name: 'count refusals', topic: null, everyMs: 10_000, run: (app) => endRefusalWindows(app) }
