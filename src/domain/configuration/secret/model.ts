import { z } from 'zod'
import type { EnvironmentType, Secret, SecretVersion } from '../../../generated/prisma/client.ts'
import { defineExtensionPoint } from '../../../platform/concept.ts'
import type { Tx } from '../../../platform/db/index.ts'
import { scopeSchema } from '../../apps/project/index.ts'
import { bulkOf, keySchema, uniqueBy, valueSchema } from '../variable/index.ts'

/** What the value of a version is sealed for. */
export const versionIdentity = (id: string) => `secret_version:${id}:value`

export const entrySchema = z.object({ key: keySchema, scope: scopeSchema.nullish(), value: valueSchema, isSecret: z.boolean().nullish() })
export type Entry = z.infer<typeof entrySchema>

export const scopeOf = ({ scope }: Pick<Entry, 'scope'>): EnvironmentType => scope ?? 'PRODUCTION'

/** The name of a secret, unique within its project. */
export const nameOfSecret = ({ key, scope }: { key: string; scope: EnvironmentType }): string => `${key} (${scope})`

export const nameOfEntry = (entry: Pick<Entry, 'key' | 'scope'>) => nameOfSecret({ key: entry.key, scope: scopeOf(entry) })

export const bulkSchema = bulkOf(entrySchema).superRefine(uniqueBy('key', nameOfEntry))

export type SecretVersionStatus = 'CURRENT' | 'PREVIOUS' | 'REVOKED'

/** Revocation is permanent. The current version is the newest one that is not revoked. */
export const statusOfVersion = (
  version: Pick<SecretVersion, 'version' | 'revokedAt'>,
  secret: Pick<Secret, 'currentVersion'>,
): SecretVersionStatus => (version.revokedAt ? 'REVOKED' : version.version === secret.currentVersion ? 'CURRENT' : 'PREVIOUS')

export type BoundService = { secretId: string; id: string; name: string }

/** Reads the services that secrets are bound to. A bound secret is deleted only with `force`. */
export const boundServices = defineExtensionPoint<(tx: Tx, secretIds: readonly string[]) => Promise<BoundService[]>>('bound services')
