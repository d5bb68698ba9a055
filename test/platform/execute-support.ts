/** A command on a real row that can be refused for every possible reason. */
import { z } from 'zod'
import type { Project } from '../../src/generated/prisma/client.ts'
import { defineCommand, visible } from '../../src/platform/command.ts'
import { defineConcept } from '../../src/platform/concept.ts'
import { newRow, row, rows, run, sql } from '../../src/platform/db/index.ts'
import { defineErrors, errors } from '../../src/platform/errors.ts'
import { defineEvent, onEvent, publish } from '../../src/platform/events.ts'
import { encodeId, newId } from '../../src/platform/id.ts'
import type { App } from '../../src/platform/work.ts'
import type { Tenant } from '../support/tenant.ts'

export const probeChanged = defineEvent({
  type: 'probe.changed',
  version: 1,
  description: 'A probe changed.',
  subject: 'Project',
  schema: z.object({ projectId: z.string(), name: z.string() }),
  sample: { projectId: 'proj_01h455vb4pex5vsknk084sn02q', name: 'probe' },
})

export const probeErrors = defineErrors({ probe_busy: { kind: 'conflict', text: 'The probe is busy.' } })

/** Called inside the command before its change. Tests replace it to wait or to fail. */
export const probe = { before: async () => {}, react: async () => {}, runs: 0 }

const hear = onEvent(probeChanged, async (work, event) => {
  await probe.react()
  await run(work.tx, sql`update project set description = ${`heard ${event.data.name}`} where id = ${event.subjectId}::uuid`)
  return { heard: event.data.name }
})

export const changeProbe = defineCommand({
  name: 'changeProbe',
  description: 'Changes a project in the way of a probe.',
  permission: 'manage:projects',
  ids: { id: 'Project' },
  targetType: 'Project',
  target: (work, ids) =>
    row<Project>(
      work.tx,
      sql`select p.* from project p where p.id = ${ids.id}::uuid and ${visible(work.caller, sql`p`, sql`id`)} for update`,
    ),
  input: z.object({ name: z.string().min(3), busy: z.boolean().optional() }),
  emits: [probeChanged],
  once: ['token'],
  async run(work, input, target: Project) {
    probe.runs += 1
    await probe.before()
    const changed = sql`update project set name = ${input.name}, version = version + 1 where id = ${target.id}::uuid returning *`
    const project = (await row<Project>(work.tx, changed))!
    const data = { projectId: encodeId('Project', target.id), name: input.name }
    const heard = await publish(work, probeChanged, { subjectId: target.id, projectId: target.id, data })
    if (input.busy) throw probeErrors.probe_busy()
    return { project, token: 'shown once' as string | null, count: 10n, ...heard }
  },
})

export const removeProbe = defineCommand({
  name: 'removeProbe',
  description: 'Removes a project, row and all.',
  permission: 'delete:projects',
  ids: { id: 'Project' },
  targetType: 'Project',
  target: (work, ids) =>
    row<Project>(
      work.tx,
      sql`select p.* from project p where p.id = ${ids.id}::uuid and ${visible(work.caller, sql`p`, sql`id`)} for update`,
    ),
  input: z.object({}),
  emits: [],
  async run(work, _input, target: Project) {
    if ((await run(work.tx, sql`delete from project where id = ${target.id}::uuid`)) === 0) throw errors.not_found()
    return { deletedId: target.id }
  },
})

export const probes = defineConcept({
  name: 'probes',
  commands: [changeProbe, removeProbe],
  events: [probeChanged],
  errors: [probeErrors],
  reactions: [hear],
})

export async function createProbe(app: App, tenant: Tenant): Promise<string> {
  const id = newId()
  await run(app.db, sql`insert into project ${newRow({ id, organizationId: tenant.organizationId, name: 'probe', slug: id })}`)
  return id
}

/** All rows that a command writes in addition to its change, for one organization. */
export async function traces(app: App, { organizationId }: Tenant) {
  const events = await rows<{ type: string; sequence: number; data: { name: string } }>(
    app.db,
    sql`select * from event where organization_id = ${organizationId}::uuid and type = 'probe.changed' order by ordinal`,
  )
  const audits = await rows<{
    action: string
    actorType: string
    actorId: string
    targetType: string
    targetId: string
    requestId: string
  }>(app.db, sql`select * from audit_entry where organization_id = ${organizationId}::uuid order by ordinal`)
  const keys = await rows<{ key: string; answer: Uint8Array }>(app.db, sql`select * from idempotency order by created_at`)
  return { events, audits, keys }
}
