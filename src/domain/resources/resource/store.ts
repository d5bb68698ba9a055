/** Rows of resources, which the kinds add to with tables of their own. */
import type { Environment } from '../../../generated/prisma/client.ts'
import { run, sql } from '../../../platform/db/index.ts'
import type { IdType } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'

/** Wake-up topic: a resource has changed. */
export const resourceTopic = (id: string) => `resource:${id}`

/** Adds the resource to which a kind then adds its row with the same id. Without an environment, it belongs to the organization. */
export async function insertResource(work: Work, { id, type, environment }: { id: string; type: IdType; environment: Environment | null }) {
  await run(
    work.tx,
    sql`insert into resource (id, organization_id, project_id, environment_id, type)
        values (${id}::uuid, ${work.caller.organizationId}::uuid, ${environment?.projectId}::uuid, ${environment?.id}::uuid, ${type})`,
  )
}

/** Deletes a resource with the row of its kind. Returns false if it was deleted before. */
export async function removeResource(work: Work, id: string): Promise<boolean> {
  work.wake('purge environments', resourceTopic(id))
  return (await run(work.tx, sql`delete from resource where id = ${id}::uuid`)) > 0
}
