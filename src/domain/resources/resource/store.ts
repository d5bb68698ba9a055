/** Rows of resources, which the kinds add to with tables of their own, and the ports that resources have for life. */
import type { Environment } from '../../../generated/prisma/client.ts'
import { row, rows, run, sql } from '../../../platform/db/index.ts'
import { lock } from '../../../platform/db/lock.ts'
import { errors } from '../../../platform/errors.ts'
import type { IdType } from '../../../platform/id.ts'
import type { App, Work } from '../../../platform/work.ts'

/** Wake-up topic: a resource has changed. */
export const resourceTopic = (id: string) => `resource:${id}`

export type NewResource = {
  id: string
  type: IdType
  /** Null if the resource belongs to the organization. */
  environment: Pick<Environment, 'id' | 'projectId'> | null
  /** What `choosePort` returned, for a resource with a port of its own. */
  port?: number
}

/** Adds the resource to which a kind then adds its row with the same id. Without an environment, it belongs to the organization. */
export async function insertResource(work: Work, { id, type, environment, port }: NewResource): Promise<void> {
  await run(
    work.tx,
    sql`insert into resource (id, organization_id, project_id, environment_id, type, port)
        values (${id}::uuid, ${work.caller.organizationId}::uuid, ${environment?.projectId}::uuid, ${environment?.id}::uuid, ${type}, ${port ?? null})`,
  )
}

/** The ports of all resources, including those that are stopped, so that an engine does not offer them. */
export async function takenPorts(app: App): Promise<ReadonlySet<number>> {
  const taken = await rows<{ port: number }>(app.db, sql`select port from resource where port is not null`)
  return new Set(taken.map(({ port }) => port))
}

export type PortChoice = {
  /** Free ports, the preferred one first. */
  candidates: readonly number[]
  /** What needs the port, such as `database`, and the setting with the range of its ports. */
  noun: string
  setting: string
}

/** The first candidate that no other resource has. One transaction at a time chooses. Throws `unavailable` if there is none. */
export async function choosePort(work: Work, { candidates, noun, setting }: PortChoice): Promise<number> {
  await lock(work.tx, 'resource ports')
  const found = await row<{ port: number }>(
    work.tx,
    sql`select p.port from unnest(${[...candidates]}::int[]) with ordinality as p(port, n)
        where not exists (select 1 from resource r where r.port = p.port) order by p.n limit 1`,
  )
  if (found) return found.port
  throw errors.unavailable({ text: `No free port is left for another ${noun}. Delete one, or widen the setting ${setting}.` })
}

/** Deletes a resource with the row of its kind. Returns false if it was deleted before. */
export async function removeResource(work: Work, id: string): Promise<boolean> {
  work.wake('purge environments', resourceTopic(id))
  return (await run(work.tx, sql`delete from resource where id = ${id}::uuid`)) > 0
}
