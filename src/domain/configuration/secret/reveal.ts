/** Showing values of secrets; what env-var/reveal.ts says of counting, marking and auditing holds here too. */
import { z } from 'zod'
import type { Secret, SecretVersion } from '../../../generated/prisma/client.ts'
import { defineCommand } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import type { Work } from '../../../platform/work.ts'
import { countReveal, markRevealed } from '../env-var/index.ts'
import { announce, ids, lockSecret } from './commands.ts'
import { secretErrors } from './errors.ts'
import { secretRevealed } from './events.ts'
import { versionIdentity } from './model.ts'

export const revealSecret = defineCommand({
  name: 'revealSecret',
  description:
    'Reveals the value of a secret, by default of its newest version. Reveals are audited and limited per minute; beyond the limit, the request fails with `rate_limited`.',
  permission: 'reveal:secrets',
  ids,
  targetType: 'Secret',
  target: (work, { id, projectId }) => lockSecret(work, id, projectId),
  input: z.object({ version: z.number().int().nullish() }),
  emits: [secretRevealed],
  once: ['value'],
  async run(work, input, target: Secret) {
    const number = input.version ?? target.currentVersion
    const found = await row<SecretVersion>(
      work.tx,
      sql`select * from secret_version where secret_id = ${target.id}::uuid and version = ${number}`,
    )
    if (!found) throw errors.not_found({ field: 'version' })
    if (found.revokedAt) throw secretErrors.version_revoked({ field: 'version' })
    const [secret] = await markSecretsRevealed(work, [target.id])
    await countReveal(work)
    await tellSecretReveal(work, secret!, number)
    const value = await openVersion(work, found)
    return { secret: secret!, key: target.key, version: number, value: value as string | null }
  },
  audited: (_input, { secret, version }) => ({ key: secret.key, scope: secret.scope, version }),
})

/** Leaves the mark of a reveal on secrets; gives them. */
export const markSecretsRevealed = (work: Work, secretIds: readonly string[]): Promise<Secret[]> =>
  markRevealed<Secret>(work, 'secret', secretIds)

/** Publishes that a version of a secret was shown. */
export const tellSecretReveal = (work: Work, secret: Secret, version: number) =>
  announce(work, secretRevealed, secret, { version, revealedBy: work.caller.subject.name })

/** The value of a version, for those who may have it. */
export const openVersion = (work: Pick<Work, 'app' | 'tx'>, version: SecretVersion): Promise<string> =>
  work.app.keyring.open(work.tx, version.organizationId, versionIdentity(version.id), version.value)
