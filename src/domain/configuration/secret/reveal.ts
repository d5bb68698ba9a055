/** Reveals of secrets. See variable/reveal.ts for what every reveal does. */
import { z } from 'zod'
import type { Secret, SecretVersion } from '../../../generated/prisma/client.ts'
import { defineCommand } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import type { Work } from '../../../platform/work.ts'
import { countReveal, markRevealed } from '../variable/index.ts'
import { lockSecret, secretIds } from './commands.ts'
import { secretErrors } from './errors.ts'
import { eventOf, secretRevealed } from './events.ts'
import { versionIdentity } from './model.ts'

export const revealSecret = defineCommand({
  name: 'revealSecret',
  description:
    'Reveals the value of a secret, by default of its newest version. Reveals are audited and limited per minute; beyond the limit, the request fails with `rate_limited`.',
  permission: 'reveal:secrets',
  ids: secretIds,
  targetType: 'Secret',
  target: lockSecret,
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
    await publishSecretReveal(work, secret!, number)
    const value = await openVersion(work, found)
    return { secret: secret!, key: target.key, version: number, value: value as string | null }
  },
  audited: (_input, { secret, version }) => ({ key: secret.key, scope: secret.scope, version }),
})

export const markSecretsRevealed = (work: Work, secretIds: readonly string[]): Promise<Secret[]> => markRevealed(work, 'secret', secretIds)

/** Publishes that a version of a secret was revealed. */
export const publishSecretReveal = (work: Work, secret: Secret, version: number) =>
  publish(work, secretRevealed, eventOf(secret, { version, revealedBy: work.caller.subject.name }))

/** Opens the value of a version. The caller must have checked that it may be shown. */
export const openVersion = (work: Pick<Work, 'app' | 'tx'>, version: SecretVersion): Promise<string> =>
  work.app.keyring.open(work.tx, version.organizationId, versionIdentity(version.id), version.value)
