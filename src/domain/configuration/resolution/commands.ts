import { z } from 'zod'
import type { WebService } from '../../../generated/prisma/client.ts'
import { defineCommand, visible } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'
import type { Work } from '../../../platform/work.ts'
import { envVarRevealed, markEnvVarsRevealed, publishReveal } from '../env-var/index.ts'
import { markSecretsRevealed, publishSecretReveal, secretRevealed } from '../secret/index.ts'
import { countReveal, lockService, type RevealedValue } from '../variable/index.ts'
import { openValue, resolveServices } from './read.ts'
import { type ShownEnv, type SourceKind, showEnv } from './resolve.ts'

/** Locks the service, and its project against writes of secrets. */
async function lockServiceAndSecrets(work: Work, ids: Record<string, string>): Promise<WebService | null> {
  await row(
    work.tx,
    sql`select 1 as locked from project where id = (
          select s.project_id from web_service s where s.id = ${ids.webServiceId}::uuid and ${visible(work.caller, sql`s`)}) for share`,
  )
  return lockService(work, ids)
}

export const revealResolvedEnv = defineCommand({
  name: 'revealResolvedEnv',
  description:
    'Reveals all variables that the next deployment gives to a service. Counts as one reveal. Variables that differ for each instance, such as `PORT`, are omitted.',
  permission: 'reveal:secrets',
  ids: { webServiceId: 'WebService' },
  targetType: 'WebService',
  target: lockServiceAndSecrets,
  input: z.object({}),
  emits: [envVarRevealed, secretRevealed],
  once: ['values', 'shown'],
  async run(work, _input, service: WebService) {
    const resolution = (await resolveServices(work, [service.id])).get(service.id)!
    const variables = resolution.variables.filter((variable) => !variable.isReserved)
    const from = (kind: SourceKind) => variables.flatMap(({ source }) => (source.kind === kind && source.id ? [source.id] : []))
    await markEnvVarsRevealed(work, from('ENV_VAR'))
    const secrets = await markSecretsRevealed(work, from('SECRET_BINDING'))
    await countReveal(work)
    await publishReveal(
      work,
      service,
      variables.map(({ key }) => key),
    )
    for (const secret of secrets) await publishSecretReveal(work, secret, secret.currentVersion)
    const values = await Promise.all(
      variables.map(async ({ key, value }) => ({ key, value: await openValue(work, service.organizationId, value) })),
    )
    return {
      values: values as RevealedValue[] | null,
      shown: showEnv(resolution, new Map(values.map(({ key, value }) => [key, value]))) as ShownEnv | null,
      keys: variables.map(({ key }) => key),
      secrets: secrets.map(({ id, key, scope, currentVersion }) => ({ id, key, scope, version: currentVersion })),
    }
  },
  audited: (_input, { keys, secrets }) => ({ keys, secrets }),
})
