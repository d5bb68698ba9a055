/** Rows of bindings and their events. */
import type { ResourceBinding, WebService } from '../../../generated/prisma/client.ts'
import { row, rows, run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { publish, publishAll } from '../../../platform/events.ts'
import { encodeId, newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { lockService, reservedKeys, variableErrors } from '../../configuration/variable/index.ts'
import { resourceErrors } from '../resource/index.ts'
import { eventOf, resourceBindingCreated, resourceBindingDeleted } from './events.ts'
import type { BindableKind, Connectable } from './model.ts'

export type Connection = { kind: BindableKind; resource: Connectable; webServiceId: string; alias: string | null }

/**
 * Connects a resource to a service. Throws `not_found` for a service of another project, `invalid_input` for one of another
 * environment, unless the resource is one of the organization, and `key_taken` if another binding of the service has a variable of the same name.
 */
export async function connectResource(work: Work, { kind, resource, webServiceId, alias }: Connection) {
  const variables = kind.variables(alias)
  const service = await lockService(work, { webServiceId })
  const isElsewhere = (own: string | null, its: string) => own !== null && own !== its
  if (!service || isElsewhere(resource.projectId, service.projectId)) throw errors.not_found({ field: 'webServiceId' })
  if (isElsewhere(resource.environmentId, service.environmentId)) {
    const text = 'webServiceId: the service belongs to another environment than the resource'
    throw errors.invalid_input({ field: 'webServiceId', text })
  }
  const taken = await row<{ name: string }>(
    work.tx,
    sql`select v.name from resource_binding b cross join unnest(b.variables) as v(name)
        where b.web_service_id = ${service.id}::uuid and v.name = any(${[...variables]}::text[]) order by v.name limit 1`,
  )
  if (taken) {
    const text = `The service already receives ${taken.name} from another connected resource. Choose another alias.`
    throw variableErrors.key_taken({ field: 'alias', text, details: { key: taken.name } })
  }
  const resourceBinding = (await row<ResourceBinding>(
    work.tx,
    sql`insert into resource_binding (id, organization_id, project_id, environment_id, web_service_id, resource_id, resource_type, variables, changed_by)
        values (${newId()}::uuid, ${service.organizationId}::uuid, ${service.projectId}::uuid, ${resource.environmentId}::uuid, ${service.id}::uuid,
                ${resource.id}::uuid, ${kind.type}, ${[...variables]}::text[], ${work.caller.subject.name}) returning *`,
  ))!
  await publish(work, resourceBindingCreated, eventOf(resourceBinding))
  return { resourceBinding, warnings: await warningsAbout(work, service, variables) }
}

/** Warnings about variables under which the service receives another value. */
async function warningsAbout(work: Work, service: WebService, variables: readonly string[]): Promise<string[]> {
  const winners = await rows<{ key: string; what: string }>(
    work.tx,
    sql`select key, 'env var' as what from env_var where web_service_id = ${service.id}::uuid and key = any(${[...variables]}::text[])
        union all
        select alias, 'secret binding' from secret_binding where web_service_id = ${service.id}::uuid and alias = any(${[...variables]}::text[])
        order by 1, 2`,
  )
  return [
    ...winners.map(({ key, what }) => `${key}: the service's own ${what} wins; the connection is shadowed.`),
    ...variables
      .filter((key) => reservedKeys.has(key))
      .map((key) => `${key} is reserved: Quayside sets it for each instance, and this connection is not used.`),
  ]
}

export async function removeBindings(work: Work, found: readonly ResourceBinding[]): Promise<void> {
  if (found.length === 0) return
  await run(work.tx, sql`delete from resource_binding where id = any(${found.map(({ id }) => id)}::uuid[])`)
  await publishAll(work, resourceBindingDeleted, found.map(eventOf))
}

const bindingsOf = (work: Work, resourceIds: readonly string[]) =>
  rows<ResourceBinding & { serviceName: string; isGoing: boolean }>(
    work.tx,
    sql`select b.*, s.name as service_name, s.desired_state = 'DELETED' as is_going
        from resource_binding b join web_service s on s.id = b.web_service_id
        where b.resource_id = any(${resourceIds}::uuid[]) order by s.name, b.id for update of b`,
  )

/** Disconnects a resource from all services. Throws `resource_in_use`, naming the services, if there are any, unless `force`. */
export async function disconnectAll(work: Work, resourceId: string, { force }: { force: boolean }): Promise<void> {
  const found = await bindingsOf(work, [resourceId])
  const using = found.filter(({ isGoing }) => !isGoing)
  if (using.length > 0 && !force) {
    const services = [...new Map(using.map(({ webServiceId, serviceName }) => [webServiceId, serviceName]))]
    throw resourceErrors.resource_in_use({
      field: 'id',
      text: `The resource is connected to ${services.map(([, name]) => name).join(', ')}. Disconnect it first, or set force to true.`,
      details: { services: services.map(([id, name]) => ({ id: encodeId('WebService', id), name })) },
    })
  }
  await removeBindings(work, found)
}

/** Makes all bindings of one resource refer to another one of the same kind and environment. Returns them. */
export async function moveBindings(work: Work, from: Connectable, to: Connectable): Promise<ResourceBinding[]> {
  const moved = await rows<ResourceBinding>(
    work.tx,
    sql`update resource_binding set resource_id = ${to.id}::uuid, changed_by = ${work.caller.subject.name}, version = version + 1
        where resource_id = ${from.id}::uuid returning *`,
  )
  await publishAll(work, resourceBindingCreated, moved.map(eventOf))
  return moved
}
