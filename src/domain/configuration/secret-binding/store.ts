/** Rows of bindings, written many at a time in a fixed number of statements, with their events. The service is locked by the caller. */
import type { SecretBinding, WebService } from '../../../generated/prisma/client.ts'
import { rows, run, sql } from '../../../platform/db/index.ts'
import { publishAll } from '../../../platform/events.ts'
import { newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { eventOf, secretBindingCreated, secretBindingDeleted } from './events.ts'

/** Adds bindings whose aliases are new to the service. Returns them in order. */
export async function insertBindings(
  work: Work,
  service: WebService,
  wanted: readonly { secretId: string; alias: string }[],
): Promise<SecretBinding[]> {
  if (wanted.length === 0) return []
  const ids = wanted.map(() => newId())
  const found = await rows<SecretBinding>(
    work.tx,
    sql`insert into secret_binding (id, organization_id, project_id, web_service_id, secret_id, alias, changed_by)
        select n.id, ${service.organizationId}::uuid, ${service.projectId}::uuid, ${service.id}::uuid, n.secret_id, n.alias, ${work.caller.subject.name}
        from unnest(${ids}::uuid[], ${wanted.map(({ secretId }) => secretId)}::uuid[], ${wanted.map(({ alias }) => alias)}::text[])
          as n(id, secret_id, alias) returning *`,
  )
  const byId = new Map(found.map((binding) => [binding.id, binding]))
  const bindings = ids.map((id) => byId.get(id)!)
  await publishAll(work, secretBindingCreated, bindings.map(eventOf))
  return bindings
}

/** Points existing bindings to other secrets. */
export async function rebind(work: Work, wanted: readonly { id: string; secretId: string }[]): Promise<void> {
  if (wanted.length === 0) return
  const changed = await rows<SecretBinding>(
    work.tx,
    sql`update secret_binding b set secret_id = n.secret_id, changed_by = ${work.caller.subject.name}, version = b.version + 1
        from unnest(${wanted.map(({ id }) => id)}::uuid[], ${wanted.map(({ secretId }) => secretId)}::uuid[]) as n(id, secret_id)
        where b.id = n.id returning b.*`,
  )
  await publishAll(work, secretBindingCreated, changed.map(eventOf))
}

export async function removeBindings(work: Work, bindings: readonly SecretBinding[]): Promise<void> {
  if (bindings.length === 0) return
  await run(work.tx, sql`delete from secret_binding where id = any(${bindings.map(({ id }) => id)}::uuid[])`)
  await publishAll(work, secretBindingDeleted, bindings.map(eventOf))
}

export async function removeBindingsOf(work: Work, secretIds: readonly string[]): Promise<void> {
  const found = await rows<SecretBinding>(
    work.tx,
    sql`select * from secret_binding where secret_id = any(${secretIds}::uuid[]) order by id for update`,
  )
  await removeBindings(work, found)
}
