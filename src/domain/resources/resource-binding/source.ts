/** The variables that services receive from connected resources, as a source for the resolver. */
import type { ResourceBinding } from '../../../generated/prisma/client.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import type { GivenVariable, VariableSource } from '../../configuration/resolution/index.ts'
import { type BoundValue, bindableKinds } from './model.ts'

export const connectionVariables: VariableSource = {
  kind: 'RESOURCE_CONNECTION',
  async load({ app, tx }, services) {
    const bindings = await rows<ResourceBinding>(
      tx,
      sql`select * from resource_binding where web_service_id = any(${services.map(({ id }) => id)}::uuid[]) order by id`,
    )
    if (bindings.length === 0) return new Map()
    const ids = bindings.map(({ resourceId }) => resourceId)
    const values = new Map<string, readonly BoundValue[]>()
    for (const kind of bindableKinds.of(app)) for (const [id, found] of await kind.valuesOf(tx, ids)) values.set(id, found)
    const given = bindings.flatMap((binding) => {
      const found = values.get(binding.resourceId) ?? []
      return found.map((value, index) => ({ webServiceId: binding.webServiceId, variable: variableOf(binding, value, index) }))
    })
    const byService = Map.groupBy(given, ({ webServiceId }) => webServiceId)
    return new Map([...byService].map(([id, items]) => [id, items.map(({ variable }) => variable)]))
  },
}

function variableOf(binding: ResourceBinding, value: BoundValue, index: number): GivenVariable {
  const isRebound = binding.updatedAt > value.changedAt
  return {
    key: binding.variables[index]!,
    source: { kind: 'RESOURCE_CONNECTION', id: binding.id, scope: null, version: value.version },
    fingerprint: value.fingerprint,
    isSecret: value.isSecret,
    isShort: value.isShort,
    buildTime: true,
    runTime: true,
    changedAt: isRebound ? binding.updatedAt : value.changedAt,
    changedBy: isRebound ? binding.changedBy : value.changedBy,
    value: { identity: value.identity, sealed: value.sealed },
  }
}
