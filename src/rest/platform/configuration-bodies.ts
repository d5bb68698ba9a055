/** Bodies of env vars, secrets, bindings and resolved variables. Secret values are masked, except in rows that reveal them. */
import { z } from 'zod'
import { mask } from '../../domain/configuration/variable/index.ts'
import type { PlannedVariable } from '../../domain/deploys/deployment/index.ts'
import type { Named } from '../core/index.ts'
import { id, time, timeOf, total, words } from './field.ts'
import { scopes, shadowReasons, variableSources } from './vocabulary.ts'

const masked = z.string().describe(`Value, or \`${mask}\` if the value is secret and has not been revealed by this request.`)
const isSecret = z.boolean().describe('Whether the value is secret. A secret value is returned only by a reveal.')

const envVar = z
  .object({ id, web_service_id: id, key: z.string(), value: masked, is_secret: isSecret, created_at: time, updated_at: time })
  .describe('An environment variable of a web service.')

const envVarList = z
  .object({ environment_variables: z.array(envVar), total })
  .describe('List of the environment variables of a web service, sorted by key.')

const secret = z
  .object({
    id,
    project_id: id,
    key: z.string(),
    value: masked,
    scope: words(scopes),
    is_secret: isSecret,
    version: z.int().describe('Number of the newest version. A new value creates a new version.'),
    created_at: time,
    updated_at: time,
  })
  .describe('A secret of a project at one scope.')

const secretList = z.object({ secrets: z.array(secret), total }).describe('List of the secrets of a project, oldest first.')

const binding = z
  .object({
    id,
    web_service_id: id,
    project_secret_id: id,
    secret_key: z.string().describe('Key of the secret.'),
    alias_key: z.string().describe('Name of the variable that the web service receives.'),
    created_at: time,
  })
  .describe('Binding of a secret to a web service.')

const bindingList = z
  .object({ bindings: z.array(binding), total })
  .describe('List of the secret bindings of a web service, sorted by alias.')

const source = {
  source: words(variableSources).describe('Source of the value.'),
  source_id: id.nullable().describe('ID of the environment variable, secret or connection. Null for defaults of Quayside.'),
  scope: words(scopes).nullable().describe('Scope of the secret. Null for other sources.'),
  version: z.int().nullable().describe('Version of the secret or of the environment variable. Null for other sources.'),
}

const resolvedVariable = z
  .object({
    key: z.string(),
    value: z
      .string()
      .nullable()
      .describe(
        `Value of the variable, or \`${mask}\` if the value is secret and has not been revealed. Null if the value differs for each instance.`,
      ),
    is_secret: isSecret,
    ...source,
    is_fallback: z.boolean().describe('Whether the value comes from a scope other than that of the environment.'),
    requested_scope: words(scopes).describe('Scope of the environment, which is tried first.'),
    alias_key: z.string().nullable().describe('Alias of the secret binding. Null for other sources.'),
    fingerprint: z
      .string()
      .describe(
        'Keyed hash of the value. Equal values within the organization have equal fingerprints. Empty if the value differs for each instance.',
      ),
    changed_since_live: z.boolean().describe('Whether the variable differs from the live deployment. False if no deployment is live.'),
    shadowed: z.array(z.object({ ...source, reason: words(shadowReasons) })).describe('Sources that are hidden by this one.'),
    warnings: z.array(z.string()),
  })
  .describe('A variable that the next deployment gives to a web service.')

const resolved = z
  .object({
    variables: z.array(resolvedVariable),
    total,
    warnings: z.array(z.string()).describe('Warnings about secret bindings without a value.'),
  })
  .describe('All variables that the next deployment gives to a web service, sorted by key.')

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

/** `updated_at` is `changedAt`, because a reveal updates the row's own `updatedAt`. */
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
