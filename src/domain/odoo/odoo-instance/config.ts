/** The configuration file of an Odoo server: what Quayside sets, and the lines that people add. Pure. */

/** Set for each instance, by its database, its disk, its ports and the router. */
const reserved = new Set([
  ...['addons_path', 'admin_passwd', 'config', 'data_dir', 'db_host', 'db_name', 'db_password', 'db_port', 'db_template', 'db_user'],
  ...['dbfilter', 'demo', 'gevent_port', 'http_enable', 'http_interface', 'http_port', 'init', 'list_db', 'logfile', 'longpolling_port'],
  ...['no_http', 'pidfile', 'proxy_mode', 'save', 'stop_after_init', 'syslog', 'update', 'workers'],
  ...['xmlrpc', 'xmlrpc_interface', 'xmlrpc_port', 'xmlrpcs', 'xmlrpcs_interface', 'xmlrpcs_port'],
])

/** Everybody who can see the instance can read its lines. */
const holdsSecret = /passw|secret|token/i

export type Lines = {
  options: Record<string, string>
  /** Other sections, such as `[queue_job]`, as they are. */
  sections: string
}

/** Reads added lines. Returns what is wrong with them instead, as a phrase that follows the name of the field. */
export function parseLines(text: string | null): Lines | { problem: string } {
  const options: Record<string, string> = {}
  const sections: string[] = []
  const seen = new Set<string>()
  let section = 'options'
  for (const [index, line] of (text ?? '').split(/\r?\n/).entries()) {
    const problem = (what: string) => ({ problem: `line ${index + 1} ${what}` })
    if (/^\s*([#;].*)?$/.test(line)) continue
    const header = /^\[([\w.-]+)\]\s*$/.exec(line)?.[1]
    if (header !== undefined) {
      section = header
      if (section !== 'options') sections.push(line.trim())
      continue
    }
    const [, key, value] = /^([A-Za-z]\w*)\s*[=:]\s*(.*?)\s*$/.exec(line) ?? []
    if (key === undefined || value === undefined) return problem('must be such as limit_time_real = 240')
    const name = key.toLowerCase()
    if (seen.has(`${section} ${name}`)) return problem(`sets ${name} for the second time`)
    seen.add(`${section} ${name}`)
    if (holdsSecret.test(name)) return problem(`must not set ${name}, because everybody who sees the instance can read it`)
    if (section !== 'options') {
      sections.push(`${key} = ${value}`)
      continue
    }
    if (reserved.has(name)) return problem(`must not set ${name}, which Quayside sets`)
    options[name] = value
  }
  return { options, sections: sections.join('\n') }
}

export type ConfigFacts = {
  odooVersion: string
  addonsPath: readonly string[]
  dataDirectory: string
  database: { host: string; port: number; username: string; password: string; databaseName: string; maxConnections: number }
  adminPassword: string
  workers: number
  /** Null for a command that serves nothing. */
  httpPort: number | null
  eventedPort: number | null
  lines: Lines
}

const gibibyte = 1024 ** 3

/** The file `odoo.conf`. */
export function configFile(facts: ConfigFacts): string {
  const { database, workers } = facts
  const options: Record<string, string | number> = {
    db_maxconn: connectionsPerProcess(database.maxConnections, workers),
    max_cron_threads: cronThreads,
    limit_memory_soft: 2 * gibibyte,
    limit_memory_hard: 2.5 * gibibyte,
    limit_time_cpu: 600,
    limit_time_real: 1200,
    without_demo: 'all',
    ...facts.lines.options,
    addons_path: facts.addonsPath.join(','),
    data_dir: facts.dataDirectory,
    db_host: database.host,
    db_port: database.port,
    db_user: database.username,
    db_password: database.password,
    db_name: database.databaseName,
    dbfilter: `^${database.databaseName}$`,
    list_db: 'False',
    admin_passwd: facts.adminPassword,
    proxy_mode: 'True',
    http_interface: '127.0.0.1',
    workers,
    ...(facts.httpPort === null ? {} : { http_port: facts.httpPort }),
    ...(facts.eventedPort === null ? {} : { [eventedPortOption(facts.odooVersion)]: facts.eventedPort }),
  }
  const lines = Object.entries(options).map(([name, value]) => `${name} = ${value}\n`)
  return `[options]\n${lines.join('')}${facts.lines.sections && `\n${facts.lines.sections}\n`}`
}

const cronThreads = 1

/** Each process has connections of its own: the workers, those of the cron, the evented one and the main one. */
const connectionsPerProcess = (maxConnections: number, workers: number): number =>
  Math.max(2, workers === 0 ? maxConnections - 3 : Math.floor(maxConnections / (workers + cronThreads + 2)))

export const majorOf = (odooVersion: string): number => Number.parseInt(odooVersion, 10)

const eventedPortOption = (odooVersion: string) => (majorOf(odooVersion) >= 16 ? 'gevent_port' : 'longpolling_port')
