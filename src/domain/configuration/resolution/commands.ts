import { z } from 'zod'
import type { WebService } from '../../../generated/prisma/client.ts'
import { defineCommand } from '../../../platform/command.ts'
import { run, sql } from '../../../platform/db/index.ts'
import { countReveal, envVarRevealed, lockService, type RevealedValue, tellReveal } from '../env-var/index.ts'
import { openValue, resolveServices } from './read.ts'
import { type ShownEnv, showEnv, type Variable } from './resolve.ts'

export const revealResolvedEnv = defineCommand({
  name: 'revealResolvedEnv',
  description:
    'Shows all that a service is given by the next deployment, with values; one reveal. What each instance gets for itself is left out.',
  permission: 'reveal:secrets',
  ids: { webServiceId: 'WebService' },
  targetType: 'WebService',
  target: lockService,
  input: z.object({}),
  emits: [envVarRevealed],
  once: ['values', 'shown'],
  async run(work, _input, service: WebService) {
    await countReveal(work)
    const resolution = (await resolveServices(work, [service.id])).get(service.id)!
    const variables = resolution.variables.filter((variable) => !variable.isReserved)
    await markRevealed(work, variables)
    await tellReveal(
      work,
      service,
      variables.map(({ key }) => key),
    )
    const values = await Promise.all(
      variables.map(async ({ key, value }) => ({ key, value: await openValue(work, service.organizationId, value) })),
    )
    return {
      values: values as RevealedValue[] | null,
      shown: showEnv(resolution, new Map(values.map(({ key, value }) => [key, value]))) as ShownEnv | null,
      keys: variables.map(({ key }) => key),
    }
  },
  audited: (_input, { keys }) => ({ keys }),
})

async function markRevealed(work: Parameters<typeof countReveal>[0], variables: readonly Variable[]): Promise<void> {
  const idsOf = (kind: string) => variables.flatMap(({ source }) => (source.kind === kind && source.id ? [source.id] : []))
  const mark = sql`set last_revealed_at = app_now(), last_revealed_by = ${work.caller.subject.name}`
  await run(work.tx, sql`update env_var ${mark} where id = any(${idsOf('ENV_VAR')}::uuid[])`)
  await run(work.tx, sql`update secret ${mark} where id = any(${idsOf('SECRET_BINDING')}::uuid[])`)
}
