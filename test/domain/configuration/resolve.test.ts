import { deepStrictEqual } from 'node:assert'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { defaultFallback, type SecretFallback } from '../../../src/domain/apps/project/index.ts'
import {
  type Bound,
  type Candidate,
  type Facts,
  resolve,
  type ScopedSecret,
  warningsOf,
} from '../../../src/domain/configuration/resolution/index.ts'

const scopes = ['PRODUCTION', 'STAGING', 'DEVELOPMENT'] as const
type Scope = (typeof scopes)[number]

const at = new Date('2026-01-01T00:00:00Z')
const candidate = (kind: Candidate['source']['kind'], key: string, change: Partial<Candidate> = {}): Candidate => ({
  key,
  source: { kind, id: `${kind}:${key}`, scope: null, version: null },
  fingerprint: `${kind}:${key}`,
  isSecret: false,
  isShort: false,
  buildTime: true,
  runTime: true,
  changedAt: at,
  changedBy: 'Ada',
  value: { plain: `${kind}:${key}` },
  ...change,
})
const scoped = (key: string, scope: Scope, change: Partial<ScopedSecret> = {}): ScopedSecret => ({
  id: `${key}:${scope}`,
  scope,
  isSecret: true,
  version: 1,
  isRevoked: false,
  fingerprint: `${key}:${scope}`,
  isShort: false,
  writtenAt: at,
  writtenBy: 'Ada',
  value: { plain: `${key}:${scope}` },
  ...change,
})
const bound = (alias: string, key: string, boundScope: Scope, rows: ScopedSecret[]): Bound => ({
  id: `b:${alias}`,
  alias,
  key,
  boundScope,
  boundAt: at,
  boundBy: 'Bob',
  rows,
})
const facts = (change: Partial<Facts> = {}): Facts => ({
  environmentType: 'PRODUCTION',
  fallback: defaultFallback,
  envVars: [],
  bindings: [],
  connections: [],
  defaults: [],
  ...change,
})

/** The expected result, computed key by key from the rules and independently of the resolver. */
type World = {
  environmentType: Scope
  chain: Scope[]
  mode: 'ALLOW' | 'WARN' | 'STRICT'
  envVars: string[]
  connections: string[]
  defaults: string[]
  bindings: { alias: string; key: string; boundScope: Scope; rows: Partial<Record<Scope, 'usable' | 'revoked'>> }[]
}

function model(world: World): { given: Record<string, string>; shadowed: Record<string, string[]>; missing: string[] } {
  const rank: Record<Scope, number> = { PRODUCTION: 3, STAGING: 2, DEVELOPMENT: 1 }
  const given: Record<string, string> = {}
  const shadowed: Record<string, string[]> = {}
  const missing: string[] = []
  const keys = new Set([...world.envVars, ...world.bindings.map(({ alias }) => alias), ...world.connections, ...world.defaults])
  for (const key of keys) {
    const sources: string[] = []
    if (world.envVars.includes(key)) sources.push('ENV_VAR')
    const binding = world.bindings.find(({ alias }) => alias === key)
    if (binding) {
      let tried: Scope[] = [world.environmentType]
      if (world.mode !== 'STRICT') {
        tried = tried.concat(world.chain)
        if (rank[binding.boundScope] <= rank[world.environmentType]) tried.push(binding.boundScope)
      }
      let value: Scope | undefined
      for (const scope of tried) if (value === undefined && binding.rows[scope] === 'usable') value = scope
      if (value !== undefined) sources.push(`SECRET_BINDING ${binding.key}:${value}`)
      else if (sources.length === 0 && key !== 'PORT' && key !== 'HOST') missing.push(key)
    }
    if (world.connections.includes(key)) sources.push('RESOURCE_CONNECTION')
    if (world.defaults.includes(key)) sources.push('PLATFORM_DEFAULT')
    if (sources.length === 0) continue
    const isReserved = key === 'PORT' || key === 'HOST'
    given[key] = isReserved ? 'reserved' : sources[0]!
    shadowed[key] = (isReserved ? sources : sources.slice(1)).map((source) => source.split(' ')[0]!)
  }
  return { given, shadowed, missing: missing.sort() }
}

const keyArbitrary = fc.constantFrom('A', 'B', 'C', 'PORT', 'HOST')
const scopeArbitrary = fc.constantFrom(...scopes)
const worldArbitrary = scopeArbitrary.chain(
  (environmentType): fc.Arbitrary<World> =>
    fc.record({
      environmentType: fc.constant(environmentType),
      chain: fc.shuffledSubarray(scopes.slice(scopes.indexOf(environmentType) + 1)),
      mode: fc.constantFrom('ALLOW', 'WARN', 'STRICT'),
      envVars: fc.uniqueArray(keyArbitrary),
      connections: fc.uniqueArray(keyArbitrary),
      defaults: fc.uniqueArray(keyArbitrary),
      bindings: fc.uniqueArray(
        fc
          .record({
            alias: keyArbitrary,
            key: fc.constantFrom('X', 'Y'),
            boundScope: scopeArbitrary,
            rows: fc.dictionary(scopeArbitrary, fc.constantFrom('usable' as const, 'revoked' as const)),
          })
          // The bound row itself is always there: a foreign key holds it.
          .map((binding) => ({ ...binding, rows: { [binding.boundScope]: 'usable' as const, ...binding.rows } })),
        { selector: ({ alias }) => alias },
      ),
    }),
)

const factsOf = (world: World): Facts => {
  const fallback: SecretFallback = {
    ...defaultFallback,
    [world.environmentType]: { scope: world.environmentType, chain: world.chain, mode: world.mode },
  }
  return {
    environmentType: world.environmentType,
    fallback,
    envVars: world.envVars.map((key) => candidate('ENV_VAR', key)),
    connections: world.connections.map((key) => candidate('RESOURCE_CONNECTION', key)),
    defaults: world.defaults.map((key) => candidate('PLATFORM_DEFAULT', key)),
    bindings: world.bindings.map(({ alias, key, boundScope, rows }) =>
      bound(
        alias,
        key,
        boundScope,
        Object.entries(rows).map(([scope, state]) => scoped(key, scope as Scope, { isRevoked: state === 'revoked' })),
      ),
    ),
  }
}

describe('resolution', () => {
  it('agrees with an independent model of the rules', () => {
    fc.assert(
      fc.property(worldArbitrary, (world) => {
        const { variables, warnings, unresolved } = resolve(factsOf(world))
        const expected = model(world)
        const isStrict = world.mode === 'STRICT'
        const actual = {
          given: Object.fromEntries(
            variables.map(({ key, isReserved, source }) => [
              key,
              isReserved ? 'reserved' : source.kind === 'SECRET_BINDING' ? `${source.kind} ${source.id}` : source.kind,
            ]),
          ),
          shadowed: Object.fromEntries(variables.map(({ key, shadowed }) => [key, shadowed.map(({ source }) => source.kind)])),
          missing: unresolved.map(({ key }) => key).sort(),
          warnings: warnings.length,
          order: variables.map(({ key }) => key),
          scopes: variables.every(({ requestedScope }) => requestedScope === world.environmentType),
          fallbacks: variables.filter(({ isFallback }) => isFallback).map(({ key }) => key),
          told: variables.filter((variable) => variable.warnings.some((warning) => warning.includes('falls back'))).map(({ key }) => key),
        }
        const fallbacks = Object.keys(expected.given)
          .filter((key) => /^SECRET_BINDING/.test(expected.given[key]!) && !expected.given[key]!.endsWith(world.environmentType))
          .sort()
        deepStrictEqual(actual, {
          given: expected.given,
          shadowed: expected.shadowed,
          missing: isStrict ? expected.missing : [],
          warnings: isStrict ? 0 : expected.missing.length,
          order: Object.keys(expected.given).sort(),
          scopes: true,
          fallbacks,
          told: world.mode === 'WARN' ? fallbacks : [],
        })
      }),
      { numRuns: 12_000 },
    )
  })

  it('never uses a value of a higher scope', () => {
    fc.assert(
      fc.property(worldArbitrary, (world) => {
        for (const { source } of resolve(factsOf(world)).variables) {
          if (source.scope) expect(scopes.indexOf(source.scope)).toBeGreaterThanOrEqual(scopes.indexOf(world.environmentType))
        }
      }),
      { numRuns: 2_000 },
    )
  })

  it('falls back with a warning in production, and silently in staging', () => {
    const binding = bound('TOKEN', 'TOKEN', 'DEVELOPMENT', [scoped('TOKEN', 'DEVELOPMENT')])
    const production = resolve(facts({ bindings: [binding] }))
    expect(production.variables[0]).toMatchObject({
      source: { scope: 'DEVELOPMENT' },
      warnings: ['TOKEN has no value at PRODUCTION and falls back to DEVELOPMENT.'],
    })
    expect(warningsOf(production)).toEqual(['TOKEN has no value at PRODUCTION and falls back to DEVELOPMENT.'])
    expect(resolve(facts({ environmentType: 'STAGING', bindings: [binding] })).variables[0]).toMatchObject({
      isFallback: true,
      warnings: [],
    })
  })

  it('names the higher scope that it did not use, and the value that is revoked', () => {
    const higher = bound('TOKEN', 'KEY', 'PRODUCTION', [scoped('KEY', 'PRODUCTION')])
    expect(resolve(facts({ environmentType: 'DEVELOPMENT', bindings: [higher] }))).toMatchObject({
      variables: [],
      warnings: [
        'TOKEN (KEY) has no value at DEVELOPMENT or in a lower environment, and is omitted. A value of PRODUCTION is never used in a lower environment.',
      ],
    })
    const revoked = bound('TOKEN', 'TOKEN', 'PRODUCTION', [scoped('TOKEN', 'PRODUCTION', { isRevoked: true })])
    expect(resolve(facts({ bindings: [revoked] })).warnings).toEqual([
      'TOKEN has no value at PRODUCTION, where its newest version is revoked, or in an environment that it falls back to, and is omitted.',
    ])
    const strict = { ...facts({}).fallback, PRODUCTION: { scope: 'PRODUCTION' as const, chain: [], mode: 'STRICT' as const } }
    const missing = bound('TOKEN', 'TOKEN', 'PRODUCTION', [])
    expect([missing, revoked].map((binding) => resolve(facts({ bindings: [binding], fallback: strict })).unresolved[0]!.message)).toEqual([
      'TOKEN has no value at PRODUCTION, and PRODUCTION has no fallback (STRICT).',
      'TOKEN has no value at PRODUCTION, where its newest version is revoked, and PRODUCTION has no fallback (STRICT).',
    ])
  })

  it('warns about a secret value that is too short to be redacted from logs', () => {
    const short = candidate('ENV_VAR', 'PIN', { isSecret: true, isShort: true })
    expect(warningsOf(resolve(facts({ envVars: [short] })))).toEqual([
      'PIN: The value has fewer than 4 characters and is not redacted from logs.',
    ])
    expect(warningsOf(resolve(facts({ envVars: [{ ...short, isSecret: false }] })))).toEqual([])
  })

  it.each([
    [{ runTime: false }, ['Instances get neither it nor the bound secret that it shadows.']],
    [{ buildTime: false }, ['Builds get neither it nor the bound secret that it shadows.']],
    [{ buildTime: false, runTime: false }, ['Builds and instances get neither it nor the bound secret that it shadows.']],
    [{}, []],
  ])('warns if an env var with %j shadows a bound secret', (flags, warnings) => {
    const binding = bound('TOKEN', 'TOKEN', 'PRODUCTION', [scoped('TOKEN', 'PRODUCTION')])
    const own = candidate('ENV_VAR', 'TOKEN', flags)
    expect(resolve(facts({ envVars: [own], bindings: [binding] })).variables[0]!.warnings).toEqual(warnings)
    expect(resolve(facts({ envVars: [own] })).variables[0]!.warnings).toEqual([])
  })

  it('says who last wrote or bound the value in effect, and when', () => {
    const later = new Date(at.getTime() + 1)
    const binding = bound('TOKEN', 'TOKEN', 'PRODUCTION', [scoped('TOKEN', 'PRODUCTION')])
    expect(resolve(facts({ bindings: [binding] })).variables[0]).toMatchObject({ changedAt: at, changedBy: 'Ada' })
    expect(resolve(facts({ bindings: [{ ...binding, boundAt: later }] })).variables[0]).toMatchObject({
      changedAt: later,
      changedBy: 'Bob',
    })
  })
})
