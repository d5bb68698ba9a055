import pg from 'pg'

/**
 * Makes a database beside the one that `url` names, as an empty one or as a copy of `template`, and gives its URL. Copies of one
 * template may be made at once; nobody may be connected to it meanwhile.
 */
export async function createDatabase(url: string, name: string, template = 'template0'): Promise<string> {
  // Copying files beats writing them through the log (9 against 30 ms for our schema, without fsync).
  await executeScript(url, `CREATE DATABASE ${pg.escapeIdentifier(name)} TEMPLATE ${pg.escapeIdentifier(template)} STRATEGY file_copy`)
  const made = new URL(url)
  made.pathname = `/${encodeURIComponent(name)}`
  return made.href
}

/** Drops a database of the same server, cutting its connections; not an error when it is gone. */
export async function dropDatabase(url: string, name: string): Promise<void> {
  await executeScript(url, `DROP DATABASE IF EXISTS ${pg.escapeIdentifier(name)} WITH (FORCE)`)
}

/** Runs a script of any number of statements on a connection of its own, as one transaction where it has none itself. */
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
