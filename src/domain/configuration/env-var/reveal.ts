/**
 * Showing values. Each reveal counts against the caller's limit and leaves an event, the mark on the row and an audit row, all
 * in the transaction that reads the value: when one of them can't be written, the value does not leave. Rows are locked in one order:
 * project, service, what is revealed by id, at last the allowance.
 */
import { z } from 'zod'
import type { EnvVar, WebService } from '../../../generated/prisma/client.ts'
import { defineCommand, demand } from '../../../platform/command.ts'
import { unstamped } from '../../../platform/db/constraints.ts'
import { raw, rows, run, sql } from '../../../platform/db/index.ts'
import { publish } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { countReveal } from './allowance.ts'
import { lockEnvVar, lockService, withService } from './commands.ts'
import { printDotenv } from './dotenv.ts'
import { envVarRevealed } from './events.ts'
import { valueIdentity } from './model.ts'
import { envVarsByService } from './queries.ts'

/** The value of a variable, for those who may have it. */
export const openEnvVar = (work: Pick<Work, 'app' | 'tx'>, item: EnvVar): Promise<string> =>
  work.app.keyring.open(work.tx, item.organizationId, valueIdentity(item.id), item.value)

/** Counts, marks and tells a reveal of the given variables of one service. Throws `rate_limited`. */
async function noteReveal(work: Work, service: { id: string; projectId: string }, items: readonly EnvVar[]): Promise<void> {
  await markRevealed(
    work,
    'env_var',
    items.map(({ id }) => id),
  )
  await countReveal(work)
  await tellReveal(
    work,
    service,
    items.map(({ key }) => key),
  )
}

/** Leaves the mark of a reveal on rows; `updated_at` stays, because a reveal is no change. Gives the rows. */
export async function markRevealed<Row>(work: Work, table: 'env_var' | 'secret', ids: readonly string[]): Promise<Row[]> {
  const stamping = (value: 'on' | 'off') => run(work.tx, sql`select set_config(${unstamped}, ${value}, true)`)
  await stamping('on')
  const marked = await rows<Row>(
    work.tx,
    sql`with locked as (select id from ${raw(table)} where id = any(${ids}::uuid[]) order by id for update)
        update ${raw(table)} t set last_revealed_at = app_now(), last_revealed_by = ${work.caller.subject.name}
        from locked where t.id = locked.id returning t.*`,
  )
  await stamping('off')
  return marked
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
  description:
    'Reveals the value of an environment variable. Reveals are audited and limited per minute; beyond the limit, the request fails with `rate_limited`.',
  permission: 'reveal:secrets',
  ids: withService,
  targetType: 'EnvVar',
  target: lockEnvVar,
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
  description: 'Reveals the values of all environment variables of the service itself. Counts as one reveal.',
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
    const all = (await envVarsByService(work.tx, [service.id]))[0]!
    const shown = includeSecrets ? all : all.filter((item) => !item.isSecret)
    const secret = shown.filter((item) => item.isSecret)
    if (includeSecrets) {
      demand(work.caller, 'reveal:secrets')
      await noteReveal(work, service, secret)
    }
    const entries = await Promise.all(shown.map(async (item) => ({ key: item.key, value: await openEnvVar(work, item) })))
    const { text, comments } = printDotenv(entries)
    const warnings = comments.map((key) => `${key}: dotenv, Node.js and a shell would read the value differently; it is only in a comment.`)
    return { text: text as string | null, warnings, keys: shown.map(({ key }) => key) }
  },
  audited: ({ includeSecrets }, { keys }) => ({ includeSecrets: includeSecrets ?? false, keys }),
})
