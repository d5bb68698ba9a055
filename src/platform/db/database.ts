import pg from 'pg'

/**
 * Creates a database on the server of `url`, empty or as a copy of `template`, and returns its URL. A template may be copied several times
 * at once, but it must have no open connections meanwhile.
 */
export async function createDatabase(url: string, name: string, template = 'template0'): Promise<string> {
  // Copying files is faster than writing them through the WAL (9 ms against 30 ms for our schema, without fsync).
  await executeScript(url, `CREATE DATABASE ${pg.escapeIdentifier(name)} TEMPLATE ${pg.escapeIdentifier(template)} STRATEGY file_copy`)
  const made = new URL(url)
  made.pathname = `/${encodeURIComponent(name)}`
  return made.href
}

/** Drops a database on the server of `url`, terminating its connections. Does nothing if it doesn't exist. */
export async function dropDatabase(url: string, name: string): Promise<void> {
  await executeScript(url, `DROP DATABASE IF EXISTS ${pg.escapeIdentifier(name)} WITH (FORCE)`)
}

/** Runs a script of several statements on a new connection, in one transaction unless the script controls its own. */
export async function executeScript(url: string, script: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    await client.query(script)
  } finally {
    await client.end()
  }
}
