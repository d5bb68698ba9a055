/** Secret fallback: for each scope, the scopes to try when a secret has no value there, and a mode. Pure. */
import { z } from 'zod'
import type { EnvironmentType, Project } from '../../../generated/prisma/client.ts'

export type FallbackMode = 'ALLOW' | 'WARN' | 'STRICT'
export type ScopeFallback = { scope: EnvironmentType; chain: EnvironmentType[]; mode: FallbackMode }
export type SecretFallback = Record<EnvironmentType, ScopeFallback>

/** From highest to lowest. An environment never uses a value of a higher scope. */
export const scopes = ['PRODUCTION', 'STAGING', 'DEVELOPMENT'] as const satisfies readonly EnvironmentType[]

/** Whether `scope` is higher than `other`. */
export const isHigher = (scope: EnvironmentType, other: EnvironmentType): boolean => scopes.indexOf(scope) < scopes.indexOf(other)

export const defaultFallback: SecretFallback = {
  PRODUCTION: { scope: 'PRODUCTION', chain: ['STAGING', 'DEVELOPMENT'], mode: 'WARN' },
  STAGING: { scope: 'STAGING', chain: ['DEVELOPMENT'], mode: 'ALLOW' },
  DEVELOPMENT: { scope: 'DEVELOPMENT', chain: [], mode: 'ALLOW' },
}

/** The fallback of a project, with the default for scopes that it does not set. */
export function fallbackOf(project: Pick<Project, 'secretFallback'>): SecretFallback {
  const own = (project.secretFallback ?? []) as ScopeFallback[]
  return { ...defaultFallback, ...Object.fromEntries(own.map((setting) => [setting.scope, setting])) }
}

export const scopeSchema = z.enum(scopes, { error: `must be one of ${scopes.join(', ')}` })

const scopeFallbackSchema = z.object({
  scope: scopeSchema,
  chain: z.array(scopeSchema),
  mode: z.enum(['ALLOW', 'WARN', 'STRICT'], { error: 'must be one of ALLOW, WARN, STRICT' }),
})

/** Each scope at most once; in a chain, each lower scope at most once. */
export const fallbackSchema = z.array(scopeFallbackSchema).superRefine((settings, context) => {
  const refuse = (path: (string | number)[], message: string) => context.addIssue({ code: 'custom', path, message })
  for (const [index, { scope, chain }] of settings.entries()) {
    if (settings.findIndex((other) => other.scope === scope) < index) refuse([index, 'scope'], `${scope} is given more than once`)
    for (const [at, next] of chain.entries()) {
      if (next === scope) refuse([index, 'chain', at], `${scope} cannot fall back to itself`)
      else if (isHigher(next, scope)) refuse([index, 'chain', at], `${scope} cannot fall back to ${next}, which is a higher environment`)
      else if (chain.indexOf(next) < at) refuse([index, 'chain', at], `${next} is given more than once`)
    }
  }
})
