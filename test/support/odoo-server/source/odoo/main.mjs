/** The command `odoo-bin`: initialises or updates a database, serves it, or neutralises it. */
import { mkdirSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArguments, readConfig } from './config.mjs'
import { runCron } from './cron.mjs'
import { loadModules, neutralize, openPool } from './database.mjs'
import { listen } from './http.mjs'
import { log, logOf, traceback } from './log.mjs'
import { findModules } from './modules.mjs'

process.exitCode = await main()

async function main() {
  let command, options, modules
  try {
    const given = parseArguments(process.argv.slice(2))
    command = given.command
    options = readConfig(given.set)
    modules = findModules(options.addonsFolders)
    mkdirSync(options.data_dir, { recursive: true })
  } catch (error) {
    process.stderr.write(`Usage: odoo-bin [options]\n\nodoo-bin: error: ${error.message ?? error}\n`)
    return 2
  }
  log.info('odoo', 'Odoo version 17.0')
  const { db_name: database, db_host: host = 'default', db_port: port = 'default', db_user: user } = options
  log.info('odoo', `database: ${user}@${host}:${port}`)
  const db = openPool(options)
  try {
    if (command === 'neutralize') {
      await neutralize(db)
      log.info('odoo.cli.neutralize', 'Neutralization finished')
      return 0
    }
    logOf(database)
    const isLoaded = await load(db, options, modules)
    if (options.stopAfterInit) return isLoaded ? 0 : 255
    await serve({ db, options, modules })
    return 0
  } finally {
    await db.end()
  }
}

/** Returns whether all modules could be loaded. A server that is not to stop goes on without. */
async function load(db, options, modules) {
  try {
    await loadModules(db, options, modules)
    return true
  } catch (error) {
    const cause = traceback(`Exception: ${error.message ?? error}`)
    log.critical('odoo.service.server', `Failed to initialize database \`${options.db_name}\`.\n${cause}`)
    return false
  }
}

async function serve(server) {
  const stopped = new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, resolve)
  })
  const close = server.options.noHttp ? () => {} : await listen(server)
  const endCron = runCron(server)
  await stopped
  log.info('odoo.service.server', 'Initiating shutdown')
  endCron()
  close()
  // Workers of real servers end after their requests.
  await pause(Number(process.env.STAND_IN_STOP_MS ?? 300))
}
