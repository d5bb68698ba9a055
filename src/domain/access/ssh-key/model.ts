import type { SshKey } from '../../../generated/prisma/client.ts'
import { nilId } from '../../../platform/id.ts'

/** A user's keys are sealed with the data key of the installation, because a user belongs to several organizations. */
export const keyOwner = nilId

export const privateKeyIdentity = (id: string) => `ssh_key:${id}:private_key`

/** A row without its private key, as results contain it. */
export type SshKeyRow = Omit<SshKey, 'privateKey'> & { hasPrivateKey: boolean }

export const shownKey = ({ privateKey, ...key }: SshKey): SshKeyRow => ({ ...key, hasPrivateKey: privateKey !== null })

/** Maximum number of keys of a user. */
export const maxKeys = 100
