/**
 * All settings of the program: one schema, read once, with every problem reported together. Nothing else reads the environment, and
 * child processes do not inherit it. Times are milliseconds, sizes are bytes. A setting declared with `secret` prints as redacted.
 */
import { isIP } from 'node:net'
import { join, resolve } from 'node:path'
import { inspect } from 'node:util'
import ipaddr from 'ipaddr.js'
import { z } from 'zod'
import { validateRepositoryUrl } from './repository-url.ts'

/** A value that prints as redacted in logs, errors and JSON. `reveal()` returns it. */
export class Secret {
  readonly #value: string
  readonly #credentials: readonly string[]
  constructor(value: string, credentials: readonly string[] = [value]) {
    this.#value = value
    this.#credentials = credentials
  }
  reveal(): string {
    return this.#value
  }
  /** The parts of the value that must not appear in any log. */
  credentials(): readonly string[] {
    return this.#credentials
  }
  toString(): string {
    return '[redacted]'
  }
  toJSON(): string {
    return '[redacted]'
  }
  [inspect.custom](): string {
    return '[redacted]'
  }
}

const blankIsUnset = (value: unknown) => (value === '' ? undefined : value)
const setting = <T extends z.ZodType>(schema: T) => z.preprocess(blankIsUnset, schema)
const int = (min: number, max = Number.MAX_SAFE_INTEGER) => z.coerce.number({ error: 'must be an integer' }).int().min(min).max(max)
const ms = (fallback: number, min = 1) => setting(int(min).default(fallback))
const port = (fallback: number) => setting(int(0, 65_535).default(fallback))
const flag = z.enum(['true', 'false', '1', '0']).transform((value) => value === 'true' || value === '1')
const list = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean),
)
const isNetwork = (item: string) => ipaddr.isValidCIDR(item) || isIP(item) !== 0
const networks = list.refine((items) => items.every(isNetwork), {
  error: 'must be a comma-separated list of addresses such as 10.1.2.3 and CIDRs such as 10.0.0.0/8',
})
const portRange = z.string().refine(
  (text) => {
    const { first, last } = portsOf(text)
    return first >= 1 && first <= last && last <= 65_535
  },
  { error: 'must be a range of ports such as 15000-15999' },
)
const mailbox = z.string().regex(/^([^<>@\p{Cc}]+<[^<>@\s]+@[^<>@\s]+>|[^<>@\s]+@[^<>@\s]+)$/u, {
  error: 'must be an address such as Quayside <no-reply@example.com>',
})
const resolvers = list.refine((items) => items.every((item) => isIP(item.replace(/^\[(.*)\](:\d+)?$|^([\d.]+):\d+$/, '$1$3')) !== 0), {
  error: 'must be a comma-separated list of addresses such as 10.0.0.53 and 10.0.0.53:5353',
})
const routerTargets = list
  .transform((items) => items.map((item) => item.toLowerCase()))
  .refine(
    (items) =>
      items.length > 0 &&
      items.every((item) => isIP(item) !== 0 || /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9-]*[a-z][a-z0-9-]*$/.test(item)) &&
      items.filter((item) => isIP(item) === 0).length <= 1,
    { error: 'must be a comma-separated list of addresses with at most one host name, such as router.example.com,203.0.113.7' },
  )
const schedule = list
  .transform((items) => items.map(Number))
  .refine((items) => items.every((item) => Number.isInteger(item) && item >= 0), {
    error: 'must be a comma-separated list of milliseconds',
  })

const repository = z.string().superRefine((url, context) => {
  const reason = validateRepositoryUrl(url)
  if (reason !== null) context.addIssue({ code: 'custom', message: `must be the URL of a git repository: ${reason}` })
})

const nameOfLimit = (item: string): string => item.split('=', 1)[0]!
const rateLimits = list
  .refine(
    (items) => items.every((item) => /^[a-z][a-z-]*=[1-9]\d{0,11}$/.test(item)) && new Set(items.map(nameOfLimit)).size === items.length,
    {
      error: 'must be a comma-separated list of limits per minute such as platform=600,graphql=6000000',
    },
  )
  .transform((items): ReadonlyMap<string, number> => new Map(items.map((item) => [nameOfLimit(item), Number(item.split('=')[1])])))

const unitSeconds: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400 }

/** A duration in seconds, such as `3600`, or with a unit: `90s`, `15m`, `1h`, `30d`. */
const duration = (fallback: string) =>
  setting(
    z
      .string()
      .regex(/^[1-9]\d{0,8}[smhd]?$/, { error: 'must be a number of seconds, or a number with the unit s, m, h or d, such as 1h' })
      .default(fallback)
      .transform((text) => Number.parseInt(text, 10) * (unitSeconds[text.at(-1)!] ?? 1)),
  )

/** A secret setting. `credentialsOf` finds the parts of its value that must not appear in any log, by default all of it. */
const secret = (schema: z.ZodType<string>, credentialsOf?: (value: string) => string[]) =>
  setting(schema.transform((value) => new Secret(value, credentialsOf?.(value))).optional())

/** Percent-encoded, as in the URL. */
function urlCredentials(url: string): string[] {
  const { username, password } = new URL(url)
  return password ? [password, `${username}:${password}`] : []
}

/** The first and last port of a range such as `15000-15999`; NaN for other text. */
export function portsOf(range: string): { first: number; last: number } {
  const [, first, last] = /^(\d{1,5})-(\d{1,5})$/.exec(range) ?? []
  return { first: Number(first ?? Number.NaN), last: Number(last ?? Number.NaN) }
}

/** The keys of some lines `<version>:<key>`. */
export const keysOf = (lines: readonly string[]): string[] => lines.map((line) => line.slice(line.indexOf(':') + 1).trim())

const schema = z.object({
  NODE_ENV: setting(z.string().default('development')),
  HOST: setting(z.string().default('127.0.0.1')),
  PORT: port(4000),
  ROUTER_PORT: port(4080),
  /** Port of the router for TLS. Unset: it has none. */
  ROUTER_TLS_PORT: setting(int(0, 65_535).optional()),
  /** Directory of the ACME server that issues certificates for custom domains. Unset: none are issued. */
  ACME_DIRECTORY_URL: setting(z.url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' }).optional()),
  /** Told to the ACME server, which may send notices to it. */
  ACME_EMAIL: setting(z.email({ error: 'must be an email address' }).optional()),
  /** Certificate authorities in PEM that are trusted for the ACME server, in addition to the usual ones. */
  ACME_CA_FILE: setting(z.string().optional()),
  /** Of one attempt to get a certificate. */
  ACME_TIMEOUT_MS: ms(180_000),
  ROUTER_DOMAIN: setting(z.string().toLowerCase().default('localhost')),
  /** Host name and addresses that custom domains point to. Unset: ROUTER_DOMAIN. */
  ROUTER_TARGET: setting(routerTargets.optional()),
  PUBLIC_URL: setting(z.url().optional()),
  /** Who can create an account: anyone, people with an invitation, or nobody. */
  SIGN_UP: setting(z.enum(['open', 'invited', 'off']).default('invited')),
  /** Lifetime of an access token, and how long a session lasts without use, in seconds. */
  JWT_ACCESS_EXPIRY: duration('1h'),
  SESSION_EXPIRY: duration('30d'),
  /** Port of the S3 endpoint, and its address as clients see it. Unset: the port on HOST, or on loopback if HOST is every address. */
  S3_PORT: port(4090),
  S3_PUBLIC_URL: setting(z.url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' }).optional()),
  /** S3 server for the bytes of objects, and its bucket. Unset: files below DATA_DIR. */
  S3_ENDPOINT: setting(z.url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' }).optional()),
  S3_REGION: setting(z.string().default('us-east-1')),
  S3_ACCESS_KEY_ID: setting(z.string().optional()),
  S3_SECRET_ACCESS_KEY: secret(z.string()),
  S3_BUCKET: setting(z.string().default('quayside')),
  STORAGE_REGION: setting(
    z
      .string()
      .regex(/^[a-z0-9-]{1,32}$/, { error: 'must be 1 to 32 lowercase letters, digits and hyphens' })
      .default('us-east-1'),
  ),
  /** Maximum number of organizations that one user may own. */
  ORGANIZATIONS_PER_OWNER: setting(int(1).default(20)),
  /** Quotas of each organization. */
  STORAGE_MAX_BUCKETS: setting(int(0).default(100)),
  STORAGE_MAX_BYTES: setting(int(0).default(100 * 1024 ** 3)),
  DATA_DIR: setting(z.string().default('.quayside')),
  /** Unset: the embedded PostgreSQL under DATA_DIR. */
  DATABASE_URL: secret(z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgresql:// URL' }), urlCredentials),
  DATABASE_POOL: setting(int(2, 200).default(20)),
  /** Ports of managed databases and Redis instances. By default outside the ranges of instances and of outgoing connections. */
  DATABASE_PORTS: setting(portRange.default('15000-15999')),
  REDIS_PORTS: setting(portRange.default('16000-16999')),
  /** Server for new managed databases. Unset: each has a server of its own under DATA_DIR. */
  MANAGED_POSTGRES_URL: secret(
    z.url({
      protocol: /^postgres(ql)?$/,
      hostname: /./,
      error: 'must be a postgresql:// URL with a host, such as postgresql://admin:password@db.internal:5432/postgres',
    }),
    urlCredentials,
  ),
  MASTER_KEYS: secret(z.string(), (keys) => keysOf(keys.split(','))),
  MASTER_KEY_FILE: setting(z.string().optional()),
  EGRESS_ALLOW: setting(networks.optional()),
  GIT_FILE_ROOTS: setting(list.optional()),
  /** Private key for repositories over ssh. Unset: ssh has no identity. */
  GIT_SSH_KEY_FILE: setting(z.string().optional()),
  SANDBOX: setting(z.enum(['auto', 'bwrap', 'none']).default('auto')),
  GRAPHIQL: setting(flag.optional()),
  LOG_LEVEL: setting(z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info')),
  /** Proxies whose X-Forwarded-* headers are trusted. */
  TRUST_PROXY: setting(networks.default([])),
  CORS_ORIGINS: setting(list.default([])),
  WORKER_LEASE_MS: ms(15_000, 300),
  LOG_MAX_BYTES: setting(int(1_000).default(10 * 1024 * 1024)),
  LOG_RETENTION_MS: ms(30 * 24 * 3_600_000),
  WEBHOOK_RETRY_SCHEDULE_MS: setting(schedule.default([5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 36_000_000])),
  WEBHOOK_RETENTION_MS: ms(90 * 24 * 3_600_000),
  /** An endpoint that has only failed for this long is disabled. */
  WEBHOOK_DISABLE_AFTER_MS: ms(5 * 24 * 3_600_000),
  /** Time between probes of an endpoint that does not respond at all. */
  WEBHOOK_BREAKER_MS: ms(30_000),
  WEBHOOK_ENGINE: setting(z.enum(['embedded', 'svix']).default('embedded')),
  SVIX_SERVER_URL: setting(z.url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' }).optional()),
  SVIX_TOKEN: secret(z.string()),
  /** Points per minute of limits, by name; see platform/rate-limit. */
  RATE_LIMITS: setting(rateLimits.default(new Map())),
  /** Maximum number of events that one organization may cause per minute. */
  EVENT_QUOTA_PER_MINUTE: setting(int(1).default(300_000)),
  /** When an event's data violates its type's schema, `strict` fails the change; `lenient` sends the event with a flag. */
  EVENT_SCHEMA: setting(z.enum(['strict', 'lenient']).default('strict')),
  /** Proxy for webhooks. The egress guard checks their targets nevertheless. */
  EGRESS_PROXY: secret(z.url({ protocol: /^(http|socks5)$/, error: 'must be an http:// or socks5:// URL' }), urlCredentials),
  /** Hosts, .domains and CIDRs that are called without the proxy. `*` means all. */
  NO_PROXY: setting(list.default([])),
  /** Unset: mail is kept in the local outbox. */
  SMTP_URL: secret(
    z.url({
      protocol: /^smtps?$/,
      hostname: /./,
      error: 'must be an smtp:// or smtps:// URL, such as smtps://user:password@mail.example.com',
    }),
    urlCredentials,
  ),
  /** Sender of the mails of Quayside itself. */
  MAIL_FROM: setting(mailbox.default('Quayside <no-reply@localhost>')),
  MAIL_RETRY_SCHEDULE_MS: setting(schedule.default([60_000, 300_000, 900_000, 3_600_000, 10_800_000, 21_600_000, 43_200_000, 86_400_000])),
  MAIL_RETENTION_MS: ms(30 * 24 * 3_600_000),
  /** Port for reports about mail. Unset: none are received. */
  MAIL_IN_PORT: setting(int(0, 65_535).optional()),
  /** Unset: HOST. */
  MAIL_IN_HOST: setting(z.string().optional()),
  /** Domain that reports are addressed to. Unset: the domain of MAIL_FROM. */
  MAIL_IN_DOMAIN: setting(z.string().toLowerCase().optional()),
  /** Servers for DNS lookups of mail domains. Unset: those of the machine. */
  DNS_SERVERS: setting(resolvers.optional()),
  /** Of a call of Odoo, including the login and the wait for other calls. */
  ODOO_TIMEOUT_MS: ms(30_000),
  /** Calls of one Odoo account at a time, in each process. */
  ODOO_CONCURRENCY: setting(int(1, 1_000).default(8)),
  /** Maximum size of an answer of Odoo. Larger ones are parsed for longer, while nothing else is. */
  ODOO_MAX_ANSWER_BYTES: setting(int(1_000, 100 * 1024 ** 2).default(5 * 1024 ** 2)),
  /** Maximum age of the records of calls. */
  ODOO_RETENTION_MS: ms(7 * 24 * 3_600_000),
  SPEED_TEST_RETENTION_MS: ms(90 * 24 * 3_600_000),
  /** Time between checks of a registered server, and of each stage of one: connection, handshake, login, command. */
  SERVER_CHECK_MS: ms(60_000, 100),
  SERVER_TIMEOUT_MS: ms(10_000, 100),
  /** Git repository of Odoo's source, whose branches are its versions. Not used if ODOO_COMMAND is set. */
  ODOO_SOURCE_URL: setting(repository.default('https://github.com/odoo/odoo.git')),
  /** Absolute path of an installed Odoo. */
  ODOO_COMMAND: setting(
    z
      .string()
      .regex(/^\/[\w./-]+$/, { error: 'must be an absolute path such as /usr/bin/odoo' })
      .optional(),
  ),
  PREPARE_TIMEOUT_MS: ms(120_000),
  BUILD_TIMEOUT_MS: ms(1_200_000),
  RELEASE_TIMEOUT_MS: ms(600_000),
  MODULE_UPDATE_TIMEOUT_MS: ms(3_600_000),
  START_TIMEOUT_MS: ms(60_000),
  VERIFY_TIMEOUT_MS: ms(120_000),
  SWITCH_TIMEOUT_MS: ms(30_000),
  /** How long an action waits until the services of an environment are observed running or stopped. */
  ACTION_TIMEOUT_MS: ms(600_000),
  /** How long a new release is watched under traffic before it goes live. */
  SWITCH_WATCH_MS: ms(1_500),
  WORKER_VERIFY_MS: ms(5_000),
  DRAIN_TIMEOUT_MS: ms(30_000),
  /** How long a request waits while the only instance of its service is being replaced. */
  DISK_SWITCH_HOLD_MS: ms(30_000),
  DISK_MEASURE_MS: ms(30_000),
  SCALE_QUIET_MS: ms(120_000),
  PROBE_INTERVAL_MS: ms(500),
  HEALTH_WATCH_MS: ms(5_000),
  RESTART_BACKOFF_MS: ms(1_000),
  USAGE_SAMPLE_MS: ms(10_000),
  REQUEST_TIMEOUT_MS: ms(10_000),
  SHUTDOWN_GRACE_MS: ms(10_000),
  /** Age at which an organization's data key is replaced by a new one. */
  DATA_KEY_MAX_AGE_MS: ms(90 * 24 * 3_600_000),
  AUDIT_RETENTION_MS: ms(365 * 24 * 3_600_000),
  /** Maximum number of reveals per minute by one principal. */
  REVEALS_PER_MINUTE: setting(int(1).default(60)),
  ARTIFACT_QUOTA_BYTES: setting(int(1).default(20 * 1024 ** 3)),
  BUILD_CACHE_QUOTA_BYTES: setting(int(1).default(10 * 1024 ** 3)),
  RELEASE_MAX_BYTES: setting(int(1).default(2 * 1024 ** 3)),
  DISK_RESERVE_BYTES: setting(int(0).default(256 * 1024 ** 2)),
  /** How long an invitation can be accepted. */
  INVITATION_EXPIRY_MS: ms(7 * 24 * 3_600_000),
  /** Recipients that one organization may send mail to a day. */
  EMAIL_DAILY_LIMIT: setting(int(0).default(10_000)),
  /** Mechanism of SPF for the servers that send. Unset: the host of SMTP_URL. */
  EMAIL_SPF: setting(
    z
      .string()
      .toLowerCase()
      .regex(/^[a-z0-9:./_-]{1,200}$/, { error: 'must be a mechanism of SPF such as include:_spf.example.com' })
      .optional(),
  ),
  /** Time between checks of a verified domain, and how long one that fails them still counts as verified. */
  EMAIL_DOMAIN_CHECK_MS: ms(24 * 3_600_000, 1_000),
  EMAIL_DOMAIN_GRACE_MS: ms(72 * 3_600_000, 0),
  /** Time between checks of a custom domain that is verified, and how long one whose TXT record is gone still counts as verified. */
  DOMAIN_CHECK_MS: ms(24 * 3_600_000, 1_000),
  DOMAIN_GRACE_MS: ms(72 * 3_600_000, 0),
  /** Unset: `backups` below DATA_DIR. */
  BACKUP_DIR: setting(z.string().optional()),
  /** Path of `pg_dump`, for backups of databases on the server of MANAGED_POSTGRES_URL. Beside it must be `pg_restore`. */
  PG_DUMP: setting(z.string().optional()),
  /** Maximum size of the changes that are archived for a database, for restores to a point in time. */
  BACKUP_WAL_MAX_BYTES: setting(int(1).default(10 * 1024 ** 3)),
  /** Bucket for new backups. Unset: they are stored in BACKUP_DIR. */
  BACKUP_S3_BUCKET: setting(
    z
      .string()
      .regex(/^[\w.-]{3,63}$/, { error: 'must be the name of a bucket' })
      .optional(),
  ),
  /** Unset: AWS, in the region. */
  BACKUP_S3_ENDPOINT: setting(z.url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' }).optional()),
  BACKUP_S3_REGION: setting(z.string().default('us-east-1')),
  BACKUP_S3_ACCESS_KEY_ID: setting(z.string().optional()),
  BACKUP_S3_SECRET_ACCESS_KEY: secret(z.string()),
  /** Start of the keys of all backups. Nothing else in the bucket may have it. */
  BACKUP_S3_PREFIX: setting(z.string().max(200).default('quayside-backups')),
})

/** Names of all settings. */
export const settingNames: readonly string[] = Object.keys(schema.shape)

type Raw = z.infer<typeof schema>

/** What a value of a setting means, as its schema says, or why it is not valid. */
export function readSetting(name: keyof Raw, value: unknown): { value: unknown } | { problem: string } {
  const parsed = schema.shape[name].safeParse(value)
  return parsed.success ? { value: parsed.data } : { problem: parsed.error.issues[0]!.message }
}

export type Settings = Omit<Raw, 'EGRESS_ALLOW' | 'GIT_FILE_ROOTS' | 'GRAPHIQL' | 'DATA_DIR' | 'BACKUP_DIR'> & {
  /** Absolute. */
  DATA_DIR: string
  /** Absolute. */
  BACKUP_DIR: string
  EGRESS_ALLOW: string[]
  GIT_FILE_ROOTS: string[]
  GRAPHIQL: boolean
  production: boolean
  /** Whether S3_PORT is set, so that no other port may take its place. */
  s3PortIsSet: boolean
  /** PATH of builds and git. */
  hostPath: string
}

/** All problems of the settings. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError'
}

const isLoopback = (host: string) => host === 'localhost' || (isIP(host) !== 0 && ipaddr.process(host).range() === 'loopback')

/** Reads the settings; tests pass their own `environment`. Throws SettingsError with one line for each problem. */
export function readSettings(environment: Record<string, string | undefined> = process.env): Settings {
  const parsed = schema.safeParse(environment)
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`)
    throw new SettingsError(`These settings are not valid:\n${lines.join('\n')}`)
  }
  const raw = parsed.data
  if (raw.WEBHOOK_ENGINE === 'svix' && !(raw.SVIX_SERVER_URL && raw.SVIX_TOKEN)) {
    throw new SettingsError('These settings are not valid:\n  WEBHOOK_ENGINE: svix requires SVIX_SERVER_URL and SVIX_TOKEN')
  }
  if (raw.BACKUP_S3_BUCKET && !(raw.BACKUP_S3_ACCESS_KEY_ID && raw.BACKUP_S3_SECRET_ACCESS_KEY)) {
    throw new SettingsError(
      'These settings are not valid:\n  BACKUP_S3_BUCKET: requires BACKUP_S3_ACCESS_KEY_ID and BACKUP_S3_SECRET_ACCESS_KEY',
    )
  }
  if (raw.S3_ENDPOINT && !(raw.S3_ACCESS_KEY_ID && raw.S3_SECRET_ACCESS_KEY)) {
    throw new SettingsError('These settings are not valid:\n  S3_ENDPOINT: requires S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY')
  }
  if (raw.ACME_DIRECTORY_URL && raw.ROUTER_TLS_PORT === undefined) {
    throw new SettingsError('These settings are not valid:\n  ACME_DIRECTORY_URL: requires ROUTER_TLS_PORT, where certificates are used')
  }
  const production = raw.NODE_ENV === 'production' || !isLoopback(raw.HOST)
  return {
    ...raw,
    DATA_DIR: resolve(raw.DATA_DIR),
    BACKUP_DIR: resolve(raw.BACKUP_DIR ?? join(raw.DATA_DIR, 'backups')),
    EGRESS_ALLOW: raw.EGRESS_ALLOW ?? (production ? [] : ['127.0.0.0/8', '::1/128']),
    GIT_FILE_ROOTS: raw.GIT_FILE_ROOTS ?? (production ? [] : ['/']),
    GRAPHIQL: raw.GRAPHIQL ?? !production,
    production,
    s3PortIsSet: environment.S3_PORT !== undefined,
    hostPath: environment.PATH ?? '/usr/local/bin:/usr/bin:/bin',
  }
}
