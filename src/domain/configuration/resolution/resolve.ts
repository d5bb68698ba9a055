/**
 * What a service is given, and why: one pure function of facts, used by everything that shows, plans, deploys or restores a
 * configuration. It sees no value: those are handles that are opened elsewhere, by those who may.
 */
import type { EnvironmentType } from '../../../generated/prisma/client.ts'
import { isHigher, type SecretFallback } from '../../apps/project/index.ts'
import { minRedactedLength, reservedKeys } from '../variable/index.ts'

export type SourceKind = 'ENV_VAR' | 'SECRET_BINDING' | 'RESOURCE_CONNECTION' | 'PLATFORM_DEFAULT'

/** Where a value comes from: the env var, the secret (with scope and version), the connection; a default has no id. */
export type Source = { kind: SourceKind; id: string | null; scope: EnvironmentType | null; version: number | null }

/** A value that can be opened: sealed under an identity, or plain where it is no secret of anybody. */
export type ValueHandle = { identity: string; sealed: Uint8Array } | { plain: string }

export type Candidate = {
  key: string
  source: Source
  fingerprint: string
  isSecret: boolean
  /** Too short to be taken out of logs. */
  isShort: boolean
  buildTime: boolean
  runTime: boolean
  changedAt: Date
  changedBy: string | null
  value: ValueHandle
}

/** A secret's row at one scope, with its newest version. */
export type ScopedSecret = {
  id: string
  scope: EnvironmentType
  isSecret: boolean
  version: number
  isRevoked: boolean
  fingerprint: string
  isShort: boolean
  writtenAt: Date
  writtenBy: string
  value: ValueHandle
}

/** A binding names a key by one of its rows; all rows of that key are here. */
export type Bound = {
  id: string
  alias: string
  key: string
  boundScope: EnvironmentType
  boundAt: Date
  boundBy: string
  rows: readonly ScopedSecret[]
}

export type Facts = {
  environmentType: EnvironmentType
  fallback: SecretFallback
  envVars: readonly Candidate[]
  bindings: readonly Bound[]
  connections: readonly Candidate[]
  defaults: readonly Candidate[]
}

export type ShadowReason = 'reserved' | 'env_var_wins' | 'secret_binding_wins' | 'connection_wins'

export type Variable = Candidate & {
  /** The binding's alias, where one gave it. */
  alias: string | null
  isFallback: boolean
  requestedScope: EnvironmentType
  /** Not given by what is here: the runtime sets it for each instance. */
  isReserved: boolean
  shadowed: { source: Source; reason: ShadowReason }[]
  warnings: string[]
}

export type Resolution = {
  /** By key, in code unit order. */
  variables: Variable[]
  /** Of what was left out. Each variable has its own. */
  warnings: string[]
  /** What must have a value and has none: a deployment fails. */
  unresolved: { key: string; message: string }[]
}

const reasons: Record<Exclude<SourceKind, 'PLATFORM_DEFAULT'>, ShadowReason> = {
  ENV_VAR: 'env_var_wins',
  SECRET_BINDING: 'secret_binding_wins',
  RESOURCE_CONNECTION: 'connection_wins',
}

export function resolve(facts: Facts): Resolution {
  const requestedScope = facts.environmentType
  const bound = facts.bindings.map((binding) => ({ binding, found: findValue(facts, binding) }))
  const plain = { alias: null, isFallback: false, warnings: [] as string[] }

  // Highest first: the first of a key wins.
  const candidates = [
    ...facts.envVars.map((candidate) => ({ ...candidate, ...plain })),
    ...bound.flatMap(({ binding, found }) => (found ? [fromBinding(facts, binding, found)] : [])),
    ...facts.connections.map((candidate) => ({ ...candidate, ...plain })),
    ...facts.defaults.map((candidate) => ({ ...candidate, ...plain })),
  ]
  const byKey = Map.groupBy(candidates, (candidate) => candidate.key)
  const variables = [...byKey].map(([key, [first, ...others]]): Variable => {
    if (reservedKeys.has(key)) {
      const shadowed = [first!, ...others].map(({ source }) => ({ source, reason: 'reserved' as const }))
      return { ...reserved(key), changedAt: first!.changedAt, requestedScope, shadowed }
    }
    const reason = first!.source.kind === 'PLATFORM_DEFAULT' ? null : reasons[first!.source.kind]
    const shadowed = reason ? others.map(({ source }) => ({ source, reason })) : []
    const short =
      first!.isSecret && first!.isShort ? [`The value has fewer than ${minRedactedLength} characters and is not redacted from logs.`] : []
    const warnings = [...first!.warnings, ...short, ...blanked(first!, shadowed)]
    return { ...first!, requestedScope, isReserved: false, shadowed, warnings }
  })

  const own = new Set(facts.envVars.map(({ key }) => key))
  const missing = bound.filter(({ binding, found }) => !found && !own.has(binding.alias) && !reservedKeys.has(binding.alias))
  const isStrict = facts.fallback[requestedScope].mode === 'STRICT'
  const told = missing.map(({ binding }) => ({ key: binding.alias, message: whyMissing(facts, binding) }))
  return {
    variables: variables.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)),
    warnings: isStrict ? [] : told.map(({ message }) => message),
    unresolved: isStrict ? told : [],
  }
}

/** A variable that one phase doesn't get takes the secret that it shadows from that phase as well. */
function blanked({ buildTime, runTime }: Candidate, shadowed: Variable['shadowed']): string[] {
  if ((buildTime && runTime) || !shadowed.some(({ source }) => source.kind === 'SECRET_BINDING')) return []
  const without = buildTime ? 'Instances' : runTime ? 'Builds' : 'Builds and instances'
  return [`${without} get neither it nor the bound secret that it shadows.`]
}

/** The scopes that a binding's value is looked for in, in order. */
function scopesFor({ environmentType, fallback }: Facts, { boundScope }: Bound): EnvironmentType[] {
  const { chain, mode } = fallback[environmentType]
  if (mode === 'STRICT') return [environmentType]
  return [environmentType, ...chain, boundScope].filter((scope) => !isHigher(scope, environmentType))
}

function findValue(facts: Facts, binding: Bound): ScopedSecret | null {
  for (const scope of scopesFor(facts, binding)) {
    const found = binding.rows.find((row) => row.scope === scope && !row.isRevoked)
    if (found) return found
  }
  return null
}

function fromBinding(
  { environmentType, fallback }: Facts,
  binding: Bound,
  found: ScopedSecret,
): Candidate & Pick<Variable, 'alias' | 'isFallback' | 'warnings'> {
  const isFallback = found.scope !== environmentType
  const isWarned = isFallback && fallback[environmentType].mode === 'WARN'
  const isRebound = binding.boundAt > found.writtenAt
  return {
    key: binding.alias,
    source: { kind: 'SECRET_BINDING', id: found.id, scope: found.scope, version: found.version },
    fingerprint: found.fingerprint,
    isSecret: found.isSecret,
    isShort: found.isShort,
    buildTime: true,
    runTime: true,
    changedAt: isRebound ? binding.boundAt : found.writtenAt,
    changedBy: isRebound ? binding.boundBy : found.writtenBy,
    value: found.value,
    alias: binding.alias,
    isFallback,
    warnings: isWarned ? [`${binding.key} has no value at ${environmentType} and falls back to ${found.scope}.`] : [],
  }
}

function whyMissing(facts: Facts, { alias, key, rows }: Bound): string {
  const { environmentType, fallback } = facts
  const name = alias === key ? key : `${alias} (${key})`
  const usable = rows.filter((row) => !row.isRevoked)
  const higher = usable.filter((row) => isHigher(row.scope, environmentType)).map((row) => row.scope)
  const revoked = rows.some((row) => row.scope === environmentType && row.isRevoked) ? `, where its newest version is revoked,` : ''
  const what = `${name} has no value at ${environmentType}${revoked}`
  if (fallback[environmentType].mode === 'STRICT') return `${what}${revoked ? '' : ','} and ${environmentType} has no fallback (STRICT).`
  if (higher.length > 0)
    return `${what} or in a lower environment, and is omitted. A value of ${higher.join(' or ')} is never used in a lower environment.`
  return `${what} or in an environment that it falls back to, and is omitted.`
}

/** A variable that only the runtime gives, different for each instance. */
const reserved = (key: string): Omit<Variable, 'changedAt' | 'requestedScope' | 'shadowed'> => ({
  key,
  source: { kind: 'PLATFORM_DEFAULT', id: null, scope: null, version: null },
  fingerprint: '',
  isSecret: false,
  isShort: false,
  buildTime: false,
  runTime: true,
  changedBy: null,
  value: { plain: '' },
  alias: null,
  isFallback: false,
  isReserved: true,
  warnings: [`${key} is reserved: Quayside sets it for each instance.`],
})

/** `value`: what is shown of it, null where each instance has its own. */
export type ShownVariable = Omit<Variable, 'value'> & { value: string | null }
/** `warnings`: of what has no value, also where a deployment fails for it. */
export type ShownEnv = { variables: ShownVariable[]; warnings: string[] }

export const showEnv = ({ variables, unresolved, warnings }: Resolution, values: ReadonlyMap<string, string>): ShownEnv => ({
  variables: variables.map((variable) => ({ ...variable, value: variable.isReserved ? null : values.get(variable.key)! })),
  warnings: [...unresolved.map(({ message }) => message), ...warnings],
})

/** All that there is to know before a deployment with it. */
export const warningsOf = (resolution: Resolution): string[] => [
  ...resolution.unresolved.map(({ message }) => message),
  ...resolution.warnings,
  ...resolution.variables.flatMap(({ key, warnings }) =>
    warnings.map((warning) => (warning.startsWith(key) ? warning : `${key}: ${warning}`)),
  ),
]
