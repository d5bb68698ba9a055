/**
 * Determines which variables a service receives, and why. One pure function, used by everything that shows, plans, deploys or
 * restores a configuration. It handles no plaintext: values are handles, which the caller opens after checking permissions.
 */
import type { EnvironmentType } from '../../../generated/prisma/client.ts'
import { isHigher, type SecretFallback } from '../../apps/project/index.ts'
import { minRedactedLength, reservedKeys } from '../variable/index.ts'

export type SourceKind = 'ENV_VAR' | 'SECRET_BINDING' | 'RESOURCE_CONNECTION' | 'PLATFORM_DEFAULT'

/** Where a value comes from. `id` is that of the env var, the secret or the connection; null for a default. */
export type Source = { kind: SourceKind; id: string | null; scope: EnvironmentType | null; version: number | null }

/** A value that can be opened: sealed for an identity, or plain if it was never secret. */
export type ValueHandle = { identity: string; sealed: Uint8Array } | { plain: string }

export type Candidate = {
  key: string
  source: Source
  fingerprint: string
  isSecret: boolean
  /** Whether the value is too short to be redacted from logs. */
  isShort: boolean
  buildTime: boolean
  runTime: boolean
  changedAt: Date
  changedBy: string | null
  value: ValueHandle
}

/** A secret at one scope, with its newest version. */
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

/** A binding. It refers to one secret, but applies to its key: `rows` holds the secrets of that key at all scopes. */
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
  /** Alias of the binding. Null for other sources. */
  alias: string | null
  isFallback: boolean
  requestedScope: EnvironmentType
  /** Whether the runtime sets the value for each instance, so that all sources are ignored. */
  isReserved: boolean
  shadowed: { source: Source; reason: ShadowReason }[]
  warnings: string[]
}

export type Resolution = {
  /** Sorted by key, in code unit order. */
  variables: Variable[]
  /** Warnings about omitted variables. Warnings about included variables are in the variables. */
  warnings: string[]
  /** Values of all connected resources, including hidden ones. */
  connections: readonly Candidate[]
  /** Variables without a value that STRICT requires. A deployment fails with these messages. */
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

  // In order of precedence: the first candidate of each key wins.
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
  const messages = missing.map(({ binding }) => ({ key: binding.alias, message: whyMissing(facts, binding) }))
  return {
    variables: variables.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)),
    connections: facts.connections,
    warnings: isStrict ? [] : messages.map(({ message }) => message),
    unresolved: isStrict ? messages : [],
  }
}

/** Warns if a variable that is not set in a phase shadows a secret, because that phase then receives neither. */
function blanked({ buildTime, runTime }: Candidate, shadowed: Variable['shadowed']): string[] {
  if ((buildTime && runTime) || !shadowed.some(({ source }) => source.kind === 'SECRET_BINDING')) return []
  const without = buildTime ? 'Instances' : runTime ? 'Builds' : 'Builds and instances'
  return [`${without} get neither it nor the bound secret that it shadows.`]
}

/** The scopes in which the value of a binding is looked up, in order. */
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

/** A variable whose value the runtime sets for each instance. */
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

/** A variable with its plaintext or masked value. Null if the value differs for each instance. */
export type ShownVariable = Omit<Variable, 'value'> & { value: string | null }
/** `warnings` includes the variables without a value, even if a deployment fails because of them. */
export type ShownEnv = { variables: ShownVariable[]; warnings: string[] }

export const showEnv = ({ variables, unresolved, warnings }: Resolution, values: ReadonlyMap<string, string>): ShownEnv => ({
  variables: variables.map((variable) => ({ ...variable, value: variable.isReserved ? null : values.get(variable.key)! })),
  warnings: [...unresolved.map(({ message }) => message), ...warnings],
})

/** All messages and warnings of a resolution. */
export const warningsOf = (resolution: Resolution): string[] => [
  ...resolution.unresolved.map(({ message }) => message),
  ...resolution.warnings,
  ...resolution.variables.flatMap(({ key, warnings }) =>
    warnings.map((warning) => (warning.startsWith(key) ? warning : `${key}: ${warning}`)),
  ),
]
