/** The command line and the configuration file. Throws a text for what a server refuses. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const root = dirname(import.meta.dirname)

const flags = { '--stop-after-init': 'stopAfterInit', '--no-http': 'noHttp' }
const named = { '-c': 'config', '--config': 'config', '-d': 'db_name', '--database': 'db_name', '-i': 'init', '--init': 'init' }
Object.assign(named, { '-u': 'update', '--update': 'update', '--workers': 'workers', '--addons-path': 'addons_path' })

/** The subcommand, and what the arguments set. */
export function parseArguments(given) {
  const [first, ...others] = given
  const command = first && !first.startsWith('-') ? first : 'server'
  if (command !== 'server' && command !== 'neutralize') throw `Unknown command '${command}'`
  const rest = command === first ? others : [...given]
  const set = {}
  while (rest.length > 0) {
    const [name, joined] = rest.shift().split(/=(.*)/s)
    if (flags[name]) set[flags[name]] = true
    else if (!named[name]) throw `no such option: ${name}`
    else set[named[name]] = joined ?? rest.shift() ?? fail(`${name} option requires 1 argument`)
  }
  return { command, set }
}

/** All options: those of the file, and above them those of the arguments. */
export function readConfig(set) {
  const file = set.config ? readFile(set.config) : {}
  const options = { http_interface: '', http_port: '8069', gevent_port: '8072', workers: '0', max_cron_threads: '2', ...file, ...set }
  for (const name of ['http_port', 'gevent_port', 'longpolling_port', 'workers', 'max_cron_threads', 'db_port'])
    if (options[name] !== undefined) options[name] = numberOf(name, options[name])
  if (!options.data_dir) options.data_dir = '/var/lib/odoo'
  const folders = [join(root, 'odoo', 'addons'), join(root, 'addons'), ...listOf(options.addons_path)]
  for (const folder of folders) if (!existsSync(folder)) throw `option addons_path, no such directory: '${folder}'`
  return { ...options, addonsFolders: [...new Set(folders)], init: listOf(set.init), update: listOf(set.update) }
}

export const listOf = (text) =>
  (text ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean)

function readFile(path) {
  if (!existsSync(path)) throw `The config file '${path}' selected with -c/--config doesn't exist or is not readable`
  const options = {}
  let section = ''
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    if (/^\s*([#;].*)?$/.test(line)) continue
    section = /^\[(.+)\]$/.exec(line)?.[1] ?? section
    if (line.startsWith('[')) continue
    const entry = /^(\w+)\s*[=:]\s*(.*)$/.exec(line) ?? fail(`the config file contains parsing errors: ${line}`)
    if (section === '') throw 'File contains no section headers.'
    // As ConfigParser, which gives False and None for these words.
    if (section === 'options') options[entry[1]] = /^(False|None)?$/.test(entry[2].trim()) ? undefined : entry[2].trim()
  }
  return options
}

function numberOf(name, text) {
  if (!/^\d+$/.test(text)) throw `option ${name}: invalid integer value: '${text}'`
  return Number(text)
}

function fail(text) {
  throw text
}
