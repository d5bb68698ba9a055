/**
 * Showing values. Each reveal counts against the caller's limit and leaves an event, the mark on the row and an audit row, all
 * in the transaction that reads the value: when one of them can't be written, the value does not leave.
 */
import { z } from 'zod'
import type { EnvVar, WebService } from '../../../generated/prisma/client.ts'
import { defineCommand, demand, visible } from '../../../platform/command.ts'
import { row, run, sql } from '../../../platform/db/index.ts'
import { publish } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { countReveal } from './allowance.ts'
import { lockService } from './commands.ts'
import { printDotenv } from './dotenv.ts'
import { envVarRevealed } from './events.ts'
import { valueIdentity } from './model.ts'
import { envVarsByService } from './queries.ts'

/** The value of a variable, for those who may have it. */
export const openEnvVar = (work: Pick<Work, 'app' | 'tx'>, item: EnvVar): Promise<string> =>
  work.app.keyring.open(work.tx, item.organizationId, valueIdentity(item.id), item.value)

/** Counts, marks and tells a reveal of the given variables of one service. Throws `rate_limited`. */
async function noteReveal(work: Work, service: { id: string; projectId: string }, items: readonly EnvVar[]): Promise<void> {
  await countReveal(work)
  const revealedBy = work.caller.subject.name
  await run(
    work.tx,
    sql`update env_var set last_revealed_at = app_now(), last_revealed_by = ${revealedBy} where id = any(${items.map(({ id }) => id)}::uuid[])`,
  )
  await tellReveal(
    work,
    service,
    items.map(({ key }) => key),
  )
}

/** Publishes that values of a service were shown. */
export const tellReveal = (work: Work, service: { id: string; projectId: string }, keys: string[]) =>
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
  description: 'Shows the value of one env var.',
  permission: 'reveal:secrets',
  ids: { id: 'EnvVar', webServiceId: 'WebService' },
  targetType: 'EnvVar',
  target: (work, ids) =>
    row<EnvVar>(
      work.tx,
      sql`select v.* from env_var v where v.id = ${ids.id}::uuid and ${visible(work.caller, sql`v`)}
          ${ids.webServiceId ? sql`and v.web_service_id = ${ids.webServiceId}::uuid` : sql``} for update`,
    ),
  input: z.object({}),
  emits: [envVarRevealed],
  once: ['value'],
  async run(work, _input, target: EnvVar) {
    await noteReveal(work, { id: target.webServiceId, projectId: target.projectId }, [target])
    const envVar = await work.tx.envVar.findUniqueOrThrow({ where: { id: target.id } })
    return { envVar, key: target.key, value: (await openEnvVar(work, target)) as string | null }
  },
  audited: (_input, { key }) => ({ keys: [key] }),
})

export type RevealedValue = { key: string; value: string }

export const revealEnvVars = defineCommand({
  name: 'revealEnvVars',
  description: "Shows the values of a service's own env vars, all of them; one reveal.",
  permission: 'reveal:secrets',
  ids: { webServiceId: 'WebService' },
  targetType: 'WebService',
  target: lockService,
  input: z.object({}),
  emits: [envVarRevealed],
  once: ['values'],
  async run(work, _input, service: WebService) {
    const found = (await envVarsByService(work.tx, [service.id]))[0]!
    await noteReveal(work, service, found)
    const values = await Promise.all(found.map(async (item) => ({ key: item.key, value: await openEnvVar(work, item) })))
    return { envVars: (await envVarsByService(work.tx, [service.id]))[0]!, values: values as RevealedValue[] | null }
  },
  audited: (_input, { envVars }) => ({ keys: envVars.map(({ key }) => key) }),
})

export const exportEnvVars = defineCommand({
  name: 'exportEnvVars',
  description: "A service's env vars as `.env` text. Secret values are left out unless they are asked for, which is a reveal.",
  permission: 'view:secrets',
  ids: { webServiceId: 'WebService' },
  targetType: 'WebService',
  target: lockService,
  input: z.object({ includeSecrets: z.boolean().nullish() }),
  emits: [envVarRevealed],
  once: ['text'],
  async run(work, { includeSecrets }, service: WebService) {
    const all = (await envVarsByService(work.tx, [service.id]))[0]!
    const shown = includeSecrets ? all : all.filter((item) => !item.isSecret)
    const secret = shown.filter((item) => item.isSecret)
    if (includeSecrets) {
      demand(work.caller, 'reveal:secrets')
      await noteReveal(work, service, secret)
    }
    const entries = await Promise.all(shown.map(async (item) => ({ key: item.key, value: await openEnvVar(work, item) })))
    return { text: printDotenv(entries) as string | null, keys: shown.map(({ key }) => key) }
  },
  audited: ({ includeSecrets }, { keys }) => ({ includeSecrets: includeSecrets ?? false, keys }),
})
