/** Where a project's secrets are looked for when their own scope has none: a chain and a mode for each scope. Pure. */
import { z } from 'zod'
import type { EnvironmentType, Project } from '../../../generated/prisma/client.ts'

export type FallbackMode = 'ALLOW' | 'WARN' | 'STRICT'
export type ScopeFallback = { scope: EnvironmentType; chain: EnvironmentType[]; mode: FallbackMode }
export type SecretFallback = Record<EnvironmentType, ScopeFallback>

/** From the highest down. A lower environment never reads a higher value. */
export const scopes = ['PRODUCTION', 'STAGING', 'DEVELOPMENT'] as const satisfies readonly EnvironmentType[]

/** Whether `scope` is higher than `other`. */
export const isHigher = (scope: EnvironmentType, other: EnvironmentType): boolean => scopes.indexOf(scope) < scopes.indexOf(other)

export const defaultFallback: SecretFallback = {
  PRODUCTION: { scope: 'PRODUCTION', chain: ['STAGING', 'DEVELOPMENT'], mode: 'WARN' },
  STAGING: { scope: 'STAGING', chain: ['DEVELOPMENT'], mode: 'ALLOW' },
  DEVELOPMENT: { scope: 'DEVELOPMENT', chain: [], mode: 'ALLOW' },
}

/** A project's settings; scopes that it says nothing of have the default. */
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

/** Refuses a scope that is set twice, and a chain that names its own scope, one scope twice, or a higher one. */
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
