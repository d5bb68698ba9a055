/** The server settings that users may change, with their limits. Everything else is refused: other settings could reach beyond the database. */
import { z } from 'zod'

type Unit = Readonly<Record<string, number>>
const memory: Unit = { kB: 1024, MB: 1024 ** 2, GB: 1024 ** 3 }
const time: Unit = { ms: 1, s: 1_000, min: 60_000, h: 3_600_000, d: 86_400_000 }

type Rule = { takes: string; parse(value: unknown): string | null }

const size = (min: string, max: string): Rule => measured(memory, min, max)
const duration = (min: string, max: string): Rule => measured(time, min, max)

/** A number with a unit, as text; `0` alone where the minimum allows it. */
function measured(units: Unit, min: string, max: string): Rule {
  const amount = (text: string): number | null => {
    const [, digits, unit = ''] = /^(\d{1,12})\s*([a-zA-Z]*)$/.exec(text.trim()) ?? []
    if (digits === undefined) return null
    return unit === '' ? (Number(digits) === 0 ? 0 : null) : units[unit] === undefined ? null : Number(digits) * units[unit]
  }
  return {
    takes: `a number with a unit (${Object.keys(units).join(', ')}) from ${min} to ${max}`,
    parse(value) {
      const given = typeof value === 'string' ? amount(value) : value === 0 ? 0 : null
      return given !== null && given >= amount(min)! && given <= amount(max)! ? String(value).trim() : null
    },
  }
}

function number(min: number, max: number, { whole = true } = {}): Rule {
  return {
    takes: `${whole ? 'an integer' : 'a number'} from ${min} to ${max}`,
    parse(value) {
      const given = typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value.trim()) ? Number(value) : value
      if (typeof given !== 'number' || !Number.isFinite(given) || (whole && !Number.isInteger(given))) return null
      return given >= min && given <= max ? String(given) : null
    },
  }
}

const choice = (...words: string[]): Rule => ({
  takes: `one of ${words.join(', ')}`,
  parse: (value) => (typeof value === 'string' && words.includes(value) ? value : null),
})

const flag: Rule = {
  takes: 'true or false',
  parse: (value) =>
    value === true || value === 'on' || value === 'true' ? 'on' : value === false || value === 'off' || value === 'false' ? 'off' : null,
}

export const allowedSettings: Readonly<Record<string, Rule>> = {
  autovacuum_analyze_scale_factor: number(0, 1, { whole: false }),
  autovacuum_naptime: duration('1s', '1h'),
  autovacuum_vacuum_scale_factor: number(0, 1, { whole: false }),
  checkpoint_timeout: duration('30s', '1h'),
  deadlock_timeout: duration('100ms', '1min'),
  default_statistics_target: number(1, 10_000),
  default_transaction_isolation: choice('read committed', 'repeatable read', 'serializable'),
  effective_cache_size: size('1MB', '64GB'),
  effective_io_concurrency: number(0, 1_000),
  idle_in_transaction_session_timeout: duration('0', '24h'),
  idle_session_timeout: duration('0', '24h'),
  jit: flag,
  lock_timeout: duration('0', '1h'),
  log_min_duration_statement: duration('0', '24h'),
  maintenance_work_mem: size('1MB', '2GB'),
  max_locks_per_transaction: number(10, 1_024),
  max_parallel_workers_per_gather: number(0, 8),
  max_wal_size: size('32MB', '16GB'),
  random_page_cost: number(0, 100, { whole: false }),
  shared_buffers: size('1MB', '8GB'),
  statement_timeout: duration('0', '24h'),
  temp_buffers: size('800kB', '1GB'),
  track_io_timing: flag,
  wal_buffers: size('64kB', '64MB'),
  work_mem: size('64kB', '1GB'),
}

/** Settings to set, by name. Null resets a setting to its default. Values become text as PostgreSQL reads it. */
export const settingsSchema = z.record(z.string(), z.unknown()).transform((given, context) => {
  const parsed: Record<string, string | null> = {}
  for (const [name, value] of Object.entries(given)) {
    const rule = Object.hasOwn(allowedSettings, name) ? allowedSettings[name] : undefined
    const text = value === null ? null : rule?.parse(value)
    if (!rule)
      context.addIssue({
        code: 'custom',
        path: [name],
        message: `this setting cannot be changed. Allowed: ${Object.keys(allowedSettings).join(', ')}`,
      })
    else if (text === undefined || (text === null && value !== null))
      context.addIssue({ code: 'custom', path: [name], message: `must be ${rule.takes}` })
    else parsed[name] = text
  }
  return parsed
})

/** Settings after a change. */
export function mergedSettings(current: Readonly<Record<string, string>>, change: Readonly<Record<string, string | null>> | null) {
  if (change === null) return {}
  return Object.fromEntries(Object.entries({ ...current, ...change }).filter((entry): entry is [string, string] => entry[1] !== null))
}
