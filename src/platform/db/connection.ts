import pg from 'pg'
import { connectWithinMs, drop, end } from './session.ts'

/** A single connection to a PostgreSQL server, such as that of a managed database. */
export type Connection = {
  /** Process ID of the backend that serves the connection. */
  backendPid: number
  /** Runs a statement and returns its rows, with the column names of the statement. */
  rows<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>
  /** Runs a statement and returns the number of rows affected. For `COPY`, that is the number of rows copied. */
  run(text: string, values?: unknown[]): Promise<number>
  /** Closes the connection, also while a statement is running. Never throws. */
  close(): Promise<void>
}

export type ConnectionOptions = {
  /** A connection that takes replication commands in addition to SQL. It cannot take values. */
  replication?: boolean
}

/** Opens a connection outside the pools, without any time limit on its statements. Its statements reject once it is lost. */
export async function openConnection(url: string, { replication = false }: ConnectionOptions = {}): Promise<Connection> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'quayside',
    connectionTimeoutMillis: connectWithinMs,
    // `pg` passes it to the server as a startup parameter, but does not declare it.
    ...(replication ? ({ replication: 'database' } as object) : {}),
  })
  client.on('error', () => {})
  try {
    await client.connect()
  } catch (error) {
    drop(client)
    throw error
  }
  return {
    backendPid: (client as pg.Client & { processID: number }).processID,
    rows: async (text, values) => (await client.query(values ? { text, values } : text)).rows,
    run: async (text, values) => (await client.query(values ? { text, values } : text)).rowCount ?? 0,
    close: () => end(client),
  }
}

/** Quotes a name for a statement. */
export const quoteName = (...parts: string[]): string => parts.map((part) => pg.escapeIdentifier(part)).join('.')

/** Quotes a text for a statement that takes no values. */
export const quoteText = (text: string): string => pg.escapeLiteral(text)
