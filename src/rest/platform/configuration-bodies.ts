/** Bodies of env vars, secrets, bindings and of what they come to. A value that is secret is the mask, unless the row reveals. */
import { z } from 'zod'
import { mask } from '../../domain/configuration/env-var/index.ts'
import type { PlannedVariable } from '../../domain/deploys/deployment/index.ts'
import type { Named } from '../core/index.ts'
import { id, time, timeOf, total, words } from './field.ts'
import { scopes, shadowReasons, variableSources } from './vocabulary.ts'

const masked = z.string().describe(`\`${mask}\` where it is secret, unless the row reveals.`)
const isSecret = z.boolean().describe('Whether its value is shown only by a reveal.')

const envVar = z
  .object({ id, web_service_id: id, key: z.string(), value: masked, is_secret: isSecret, created_at: time, updated_at: time })
  .describe('A variable of one web service.')

const envVarList = z.object({ environment_variables: z.array(envVar), total }).describe('Variables of one web service, by key.')

const secret = z
  .object({
    id,
    project_id: id,
    key: z.string(),
    value: masked,
    scope: words(scopes),
    is_secret: isSecret,
    version: z.int().describe('Of its value; a new value is a new version.'),
    created_at: time,
    updated_at: time,
  })
  .describe('A secret of a project at one scope.')

const secretList = z.object({ secrets: z.array(secret), total }).describe('Secrets of a project, oldest first.')

const binding = z
  .object({
    id,
    web_service_id: id,
    project_secret_id: id,
    secret_key: z.string().describe("The secret's key."),
    alias_key: z.string().describe('The variable that the web service gets.'),
    created_at: time,
  })
  .describe('Gives a web service a secret under an alias.')

const bindingList = z.object({ bindings: z.array(binding), total }).describe('Bindings of one web service, by alias.')

const source = {
  source: words(variableSources).describe('What gives it.'),
  source_id: id.nullable().describe('The env var, secret or connection; null for what Quayside itself gives.'),
  scope: words(scopes).nullable().describe("Of a secret: the scope of the value; with `is_fallback` not the environment's own."),
  version: z.int().nullable().describe('Of a secret: the version of the value.'),
}

const resolvedVariable = z
  .object({
    key: z.string(),
    value: z.string().nullable().describe(`\`${mask}\` where it is secret and not revealed; null where each instance gets its own.`),
    is_secret: isSecret,
    ...source,
    is_fallback: z.boolean().describe("Whether it comes from another scope than the environment's own."),
    requested_scope: words(scopes).describe("The environment's own scope."),
    alias_key: z.string().nullable().describe("The binding's alias."),
    fingerprint: z.string().describe('Alike for equal values of the organization; empty where each instance gets its own.'),
    changed_since_live: z.boolean().describe('Whether what is live has another value, or none; false where nothing is live.'),
    shadowed: z.array(z.object({ ...source, reason: words(shadowReasons) })).describe('What it wins over.'),
    warnings: z.array(z.string()),
  })
  .describe('A variable as the next deployment gives it.')

const resolved = z
  .object({
    variables: z.array(resolvedVariable),
    total,
    warnings: z.array(z.string()).describe('Bindings that have no value.'),
  })
  .describe('All that the next deployment gives to a web service, by key.')

export const configurationSchemas = { envVar, envVarList, secret, secretList, binding, bindingList, resolved }

export const configurationBodies: Named[] = [
  { id: 'EnvVar', schema: envVar },
  { id: 'EnvVarList', schema: envVarList },
  { id: 'Secret', schema: secret },
  { id: 'SecretList', schema: secretList },
  { id: 'SecretBinding', schema: binding },
  { id: 'SecretBindingList', schema: bindingList },
  { id: 'ResolvedEnv', schema: resolved },
]

export type ConfigurationBody<Name extends keyof typeof configurationSchemas> = z.infer<(typeof configurationSchemas)[Name]>

export type EnvVarRow = { id: string; webServiceId: string; key: string; isSecret: boolean; createdAt: Date; changedAt: Date }

/** A reveal stamps the row, but changes nothing: the time of the last change is the domain's own. */
export const envVarBody = (row: EnvVarRow, value: string = mask): ConfigurationBody<'envVar'> => ({
  id: row.id,
  web_service_id: row.webServiceId,
  key: row.key,
  value,
  is_secret: row.isSecret,
  created_at: timeOf(row.createdAt),
  updated_at: timeOf(row.changedAt),
})

export type SecretRow = {
  id: string
  projectId: string
  key: string
  scope: keyof typeof scopes
  isSecret: boolean
  currentVersion: number
  createdAt: Date
  updatedAt: Date
}

export const secretBody = (row: SecretRow, value: string = mask): ConfigurationBody<'secret'> => ({
  id: row.id,
  project_id: row.projectId,
  key: row.key,
  value,
  scope: scopes[row.scope],
  is_secret: row.isSecret,
  version: row.currentVersion,
  created_at: timeOf(row.createdAt),
  updated_at: timeOf(row.updatedAt),
})

type BindingRow = { id: string; webServiceId: string; secretId: string; alias: string; createdAt: Date }

export const bindingBody = (row: BindingRow, secretKey: string): ConfigurationBody<'binding'> => ({
  id: row.id,
  web_service_id: row.webServiceId,
  project_secret_id: row.secretId,
  secret_key: secretKey,
  alias_key: row.alias,
  created_at: timeOf(row.createdAt),
})

const sourceBody = ({ kind, id, scope, version }: PlannedVariable['source']) => ({
  source: variableSources[kind],
  source_id: id,
  scope: scope && scopes[scope],
  version,
})

export const resolvedBody = ({
  variables,
  warnings,
}: {
  variables: readonly PlannedVariable[]
  warnings: string[]
}): ConfigurationBody<'resolved'> => ({
  variables: variables.map((variable) => ({
    key: variable.key,
    value: variable.value,
    is_secret: variable.isSecret,
    ...sourceBody(variable.source),
    is_fallback: variable.isFallback,
    requested_scope: scopes[variable.requestedScope],
    alias_key: variable.alias,
    fingerprint: variable.fingerprint,
    changed_since_live: variable.changedSinceLive,
    shadowed: variable.shadowed.map(({ source, reason }) => ({ ...sourceBody(source), reason: shadowReasons[reason] })),
    warnings: variable.warnings,
  })),
  total: variables.length,
  warnings,
})
