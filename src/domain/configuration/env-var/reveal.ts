/** Reveals of env vars. See variable/reveal.ts for what every reveal does. */
import { z } from 'zod'
import type { EnvVar, WebService } from '../../../generated/prisma/client.ts'
import { defineCommand, demand } from '../../../platform/command.ts'
import { publish } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { countReveal, lockService, markRevealed, type RevealedValue } from '../variable/index.ts'
import { envVarIds, lockEnvVar, placeOf } from './commands.ts'
import { printDotenv } from './dotenv.ts'
import { envVarRevealed } from './events.ts'
import { valueIdentity } from './model.ts'
import { envVarsByService } from './queries.ts'

type Place = { id: string; projectId: string }

/** Opens the value of a variable. The caller must have checked that it may be shown. */
export const openEnvVar = (work: Pick<Work, 'app' | 'tx'>, item: Pick<EnvVar, 'id' | 'organizationId' | 'value'>): Promise<string> =>
  work.app.keyring.open(work.tx, item.organizationId, valueIdentity(item.id), item.value)

const openAll = (work: Work, items: readonly EnvVar[]): Promise<RevealedValue[]> =>
  Promise.all(items.map(async (item) => ({ key: item.key, value: await openEnvVar(work, item) })))

/** Marks and counts a reveal of variables of one service, publishes it, and returns the marked rows. Throws `rate_limited`. */
async function recordReveal(work: Work, service: Place, items: readonly EnvVar[]): Promise<EnvVar[]> {
  const marked = await markEnvVarsRevealed(
    work,
    items.map(({ id }) => id),
  )
  await countReveal(work)
  await publishReveal(
    work,
    service,
    items.map(({ key }) => key),
  )
  return marked
}

export const markEnvVarsRevealed = (work: Work, ids: readonly string[]): Promise<EnvVar[]> => markRevealed(work, 'env_var', ids)

/** Publishes that values of a service were revealed. */
export const publishReveal = (work: Work, service: Place, keys: string[]) =>
  publish(work, envVarRevealed, {
    subjectId: service.id,
    projectId: service.projectId,
    data: {
      webServiceId: encodeId('WebService', service.id),
      projectId: encodeId('Project', service.projectId),
      keys,
      revealedBy: work.caller.subject.name,
    },
  })

export const revealEnvVar = defineCommand({
  name: 'revealEnvVar',
  description:
    'Reveals the value of an environment variable. Reveals are audited and limited per minute; beyond the limit, the request fails with `rate_limited`.',
  permission: 'reveal:secrets',
  ids: envVarIds,
  targetType: 'EnvVar',
  target: lockEnvVar,
  input: z.object({}),
  emits: [envVarRevealed],
  once: ['value'],
  async run(work, _input, target: EnvVar) {
    const [envVar] = await recordReveal(work, placeOf(target), [target])
    return { envVar: envVar!, key: target.key, value: (await openEnvVar(work, target)) as string | null }
  },
  audited: (_input, { key }) => ({ keys: [key] }),
})

export const revealEnvVars = defineCommand({
  name: 'revealEnvVars',
  description: 'Reveals the values of all environment variables of the service itself. Counts as one reveal.',
  permission: 'reveal:secrets',
  ids: { webServiceId: 'WebService' },
  targetType: 'WebService',
  target: lockService,
  input: z.object({}),
  emits: [envVarRevealed],
  once: ['values'],
  async run(work, _input, service: WebService) {
    const found = (await envVarsByService(work, [service.id]))[0]!
    await recordReveal(work, service, found)
    const values = await openAll(work, found)
    return { envVars: (await envVarsByService(work, [service.id]))[0]!, values: values as RevealedValue[] | null }
  },
  audited: (_input, { envVars }) => ({ keys: envVars.map(({ key }) => key) }),
})

export const exportEnvVars = defineCommand({
  name: 'exportEnvVars',
  description:
    'Exports the environment variables of a service as a `.env` file that npm dotenv, `node --env-file` and a shell read alike. Secret values are omitted unless `includeSecrets` is true, which counts as a reveal.',
  permission: 'view:secrets',
  ids: { webServiceId: 'WebService' },
  targetType: 'WebService',
  target: lockService,
  input: z.object({ includeSecrets: z.boolean().nullish() }),
  emits: [envVarRevealed],
  once: ['text'],
  async run(work, { includeSecrets }, service: WebService) {
    const all = (await envVarsByService(work, [service.id]))[0]!
    const shown = includeSecrets ? all : all.filter((item) => !item.isSecret)
    const secret = shown.filter((item) => item.isSecret)
    if (includeSecrets) {
      demand(work.caller, 'reveal:secrets')
      await recordReveal(work, service, secret)
    }
    const { text, comments } = printDotenv(await openAll(work, shown))
    const warnings = comments.map((key) => `${key}: dotenv, Node.js and a shell would read the value differently; it is only in a comment.`)
    return { text: text as string | null, warnings, keys: shown.map(({ key }) => key) }
  },
  audited: ({ includeSecrets }, { keys }) => ({ includeSecrets: includeSecrets ?? false, keys }),
})
