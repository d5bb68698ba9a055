/**
 * Execution of a statement on a `pg` connection. A text that is sent repeatedly becomes a named prepared statement, which the server neither
 * parses nor describes again. The number of prepared statements per connection is bounded, whatever texts are sent.
 */
import type pg from 'pg'
import { fieldOf } from './column.ts'
import { type Decode, decoderOf, encode, type Parameter } from './values.ts'

/** Builds a row from the values of its columns, in their order. */
export type Build<Row = unknown> = (values: readonly unknown[]) => Row

/** The rows, and the number of rows read or changed. */
export type Outcome = { rows: unknown[]; count: number }

/** A statement with positional parameters. Without `build`, a row is an object with column names in camel case. */
export type Query = { readonly text: string; readonly values: readonly unknown[]; readonly build?: Build }

/**
 * Runs statements on a connection of the pool, one after the other in one round trip; those behind a failed one are skipped. Rejects with
 * the server's error or a DatabaseOutage. Outside of a transaction, statements that are sent together are one transaction.
 */
export function send(client: pg.PoolClient, queries: readonly Query[]): Promise<Outcome[]> {
  return new Promise((resolve, reject) => {
    const query = client.query as unknown as (batch: Batch, callback: Callback) => void
    query.call(client, new Batch(queries), (error, outcomes) => {
      if (outcomes) return resolve(outcomes)
      // The stack of a server error starts at the socket; this one leads to the caller that awaits it.
      if (error instanceof Error) Error.captureStackTrace(error)
      reject(error)
    })
  })
}

/** Whether a prepared statement was rejected, without any effect, because it is out of date. Sending it again prepares it again. */
export function isStale(error: unknown): boolean {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: string }
  // A table has changed, or the session was reset by a pooler.
  return (code === '0A000' && message === 'cached plan must not change result type') || code === '26000'
}

/** Per connection; more than the product has statements. A plan takes 10 to 100 kB of server memory. */
const preparedMost = 200
/** Texts remembered as sent. A text is prepared from its second use on, so that one-off texts are not. */
const sentMost = 1_000
const preparedChars = 16_384

type Column = { name: string; decode: Decode }
/** `columns` is null until the first execution has succeeded. */
type Prepared = { name: string; columns: Column[] | null }
/** The prepared statements of one connection by text, least recently used first, and the names still to be closed. */
type Holding = { prepared: Map<string, Prepared>; dropped: string[]; epoch: number }

const holdings = new WeakMap<Wire, Holding>()
const sentTexts = new Set<string>()
let names = 0
/** Incremented when a prepared statement was stale; every connection then discards all of its prepared statements. */
let epoch = 0

/** The prepared statement for a text, to be parsed while its `columns` are null. Null for a text that is not prepared. */
function prepare(text: string, holding: Holding): Prepared | null {
  const { prepared, dropped } = holding
  if (holding.epoch !== epoch) {
    holding.epoch = epoch
    for (const { name } of prepared.values()) dropped.push(name)
    prepared.clear()
  }
  const known = prepared.get(text)
  if (!known && !wasSent(text)) return null
  const found = known ?? { name: `s${++names}`, columns: null }
  prepared.delete(text)
  prepared.set(text, found)
  if (prepared.size > preparedMost) {
    const [oldest, { name }] = prepared.entries().next().value!
    prepared.delete(oldest)
    dropped.push(name)
  }
  return found
}

function wasSent(text: string): boolean {
  if (text.length > preparedChars) return false
  const known = sentTexts.delete(text)
  sentTexts.add(text)
  if (sentTexts.size > sentMost) sentTexts.delete(sentTexts.values().next().value!)
  return known
}

function holdingOf(wire: Wire): Holding {
  const known = holdings.get(wire)
  if (known) return known
  const holding: Holding = { prepared: new Map(), dropped: [], epoch }
  holdings.set(wire, holding)
  return holding
}

/** The part of `pg`'s connection that writes protocol messages. */
type Wire = {
  stream: { cork(): void; uncork(): void }
  parse(message: { name: string; text: string }): void
  bind(message: { statement: string; values: Parameter[] }): void
  describe(message: { type: 'P'; name: string }): void
  execute(message: object): void
  close(message: { type: 'S'; name: string }): void
  sync(): void
  sendCopyFail(reason: string): void
}

type Callback = (error: unknown, outcomes?: Outcome[]) => void

type Statement = Outcome & {
  text: string
  values: Parameter[]
  build: Build | undefined
  prepared: Prepared | null
  columns: Column[] | null
}

/** A query object for `pg`, which calls `submit` when the connection is free and then a handler for each message of the response. */
class Batch {
  /** Set by `pg`. */
  callback: Callback | undefined
  readonly #statements: Statement[]
  /** How many statements have completed. */
  #at = 0
  #failure: unknown

  constructor(queries: readonly Query[]) {
    this.#statements = queries.map(({ text, values, build }) => ({
      text,
      values: values.map(encode),
      build,
      prepared: null,
      columns: null,
      rows: [],
      count: 0,
    }))
  }

  /** For those that are told of each statement. */
  get texts(): string[] {
    return this.#statements.map(({ text }) => text)
  }

  submit(wire: Wire): void {
    const holding = holdingOf(wire)
    for (const statement of this.#statements) {
      statement.prepared = prepare(statement.text, holding)
      statement.columns = statement.prepared?.columns ?? null
    }
    wire.stream.cork()
    for (const dropped of holding.dropped.splice(0)) wire.close({ type: 'S', name: dropped })
    const parsed = new Set<Prepared>()
    for (const { text, values, prepared, columns } of this.#statements) {
      const name = prepared?.name ?? ''
      if (!columns && !(prepared && parsed.has(prepared))) wire.parse({ name, text })
      if (prepared) parsed.add(prepared)
      wire.bind({ statement: name, values })
      if (!columns) wire.describe({ type: 'P', name: '' })
      wire.execute({})
    }
    wire.sync()
    wire.stream.uncork()
  }

  handleRowDescription({ fields }: { fields: { name: string; dataTypeID: number }[] }): void {
    this.#statements[this.#at]!.columns = fields.map(({ name, dataTypeID }) => ({ name: fieldOf(name), decode: decoderOf(dataTypeID) }))
  }

  /** Decodes the fields in place: the array belongs to this row. */
  handleDataRow({ fields }: { fields: unknown[] }): void {
    const { rows, build, columns } = this.#statements[this.#at]!
    try {
      for (let at = 0; at < fields.length; at++) {
        const text = fields[at] as string | null
        if (text !== null) fields[at] = columns![at]!.decode(text)
      }
      rows.push(build ? build(fields) : named(columns!, fields))
    } catch (error) {
      this.#failure ??= error
    }
  }

  handleCommandComplete({ text }: { text: string }): void {
    const statement = this.#statements[this.#at++]!
    statement.count = Number(/\d+$/.exec(text)?.[0] ?? 0)
    if (statement.prepared) statement.prepared.columns = statement.columns ?? []
  }

  handleEmptyQuery(): void {
    this.#at++
  }

  handleReadyForQuery(): void {
    if (this.#failure) this.callback!(this.#failure)
    else this.callback!(null, this.#statements)
  }

  handleError(error: unknown, wire: Wire): void {
    if (isStale(error)) epoch++
    const { prepared: held, dropped } = holdingOf(wire)
    for (const { text, prepared } of this.#statements) {
      if (!prepared || prepared.columns) continue
      // It may or may not have been parsed. Closing an unknown name is not an error.
      held.delete(text)
      dropped.push(prepared.name)
    }
    this.callback!(error)
  }

  handleCopyInResponse(wire: Wire): void {
    wire.sendCopyFail('no data is sent by this statement')
  }

  handleCopyData(): void {}
}

function named(columns: readonly Column[], values: readonly unknown[]): object {
  const row: Record<string, unknown> = {}
  for (let at = 0; at < columns.length; at++) row[columns[at]!.name] = values[at]
  return row
}
