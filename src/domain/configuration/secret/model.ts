import type { EnvironmentType, Secret, SecretVersion } from '../../../generated/prisma/client.ts'

export const versionIdentity = (id: string) => `secret_version:${id}:value`

export type SecretVersionStatus = 'CURRENT' | 'PREVIOUS' | 'REVOKED'

/** A revoked version is that for good; of the others the newest is the current one. */
export const statusOfVersion = (
  version: Pick<SecretVersion, 'version' | 'revokedAt'>,
  secret: Pick<Secret, 'currentVersion'>,
): SecretVersionStatus => (version.revokedAt ? 'REVOKED' : version.version === secret.currentVersion ? 'CURRENT' : 'PREVIOUS')

/** Names a secret within its project. */
export const nameOfSecret = ({ key, scope }: { key: string; scope: EnvironmentType }): string => `${key} (${scope})`
