/** The size of an operation's answer, and its limits where it only becomes known during execution. */
import { row, type Sql } from '../../platform/db/index.ts'
import { type DomainError, errors } from '../../platform/errors.ts'
import type { GraphqlContext } from './context.ts'

export const roomLimits = {
  /** Total number of list items. */
  rows: 25_000,
  /** Total size of large texts: log lines, payloads, values. */
  bytes: 2 * 1024 * 1024,
}

export type Room = {
  readonly bytesLeft: number
  /** Number of values so far: fields of objects, and items of lists. */
  readonly values: number
  countValues(count: number): void
  /** Throws `query_limit_exceeded` if the items exceed the limit. */
  takeRows(count: number): void
  /** Throws `query_limit_exceeded` if the bytes exceed the limit. */
  takeBytes(count: number): void
}

export const createRoom = (): Room => new OperationRoom()

class OperationRoom implements Room {
  rowsLeft = roomLimits.rows
  bytesLeft = roomLimits.bytes
  values = 0

  countValues(count: number): void {
    this.values += count
  }

  takeRows(count: number): void {
    if (count > this.rowsLeft) throw exceeded('rows')
    this.rowsLeft -= count
  }

  takeBytes(count: number): void {
    if (count > this.bytesLeft) throw exceeded('bytes')
    this.bytesLeft -= count
  }
}

function exceeded(what: keyof typeof roomLimits): DomainError {
  const maximum = roomLimits[what]
  return errors.query_limit_exceeded({
    text: texts[what](maximum),
    details: { limit: `answer${what === 'rows' ? 'Rows' : 'Bytes'}`, maximum },
  })
}

/** Reserves bytes for texts before they are read. `size` selects their total length as `bytes`. Throws `query_limit_exceeded`. */
export async function makeRoom({ app, room }: Pick<GraphqlContext, 'app' | 'room'>, size: Sql): Promise<void> {
  const found = await row<{ bytes: number | null }>(app.db, size)
  room.takeBytes(found?.bytes ?? 0)
}

const texts = {
  rows: (maximum: number) => `One operation returns at most ${maximum} list items. Select less, or use smaller pages.`,
  bytes: (maximum: number) =>
    `One operation returns at most ${maximum} bytes of log lines, payloads and values. Select less, or use smaller pages.`,
}
