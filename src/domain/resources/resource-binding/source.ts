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
    const values = new Map<string, readonly BoundValue[]>()
    for (const kind of bindableKinds.of(app)) {
      const own = bindings.filter(({ resourceType }) => resourceType === kind.type)
      if (own.length === 0) continue
      for (const [id, found] of await kind.valuesOf({ app, tx }, own)) values.set(id, found)
    }
    const given = bindings.flatMap((binding) => {
      const found = values.get(binding.id) ?? []
      return found.map((value, index) => ({ webServiceId: binding.webServiceId, variable: variableOf(binding, value, index) }))
    })
    const byService = Map.groupBy(given, ({ webServiceId }) => webServiceId)
    return new Map([...byService].map(([id, items]) => [id, items.map(({ variable }) => variable)]))
  },
}

function variableOf(binding: ResourceBinding, bound: BoundValue, index: number): GivenVariable {
  const { version, changedAt, changedBy, ...value } = bound
  const isRebound = binding.updatedAt > changedAt
  return {
    ...value,
    key: binding.variables[index]!,
    source: { kind: 'RESOURCE_CONNECTION', id: binding.id, scope: null, version },
    buildTime: true,
    runTime: true,
    changedAt: isRebound ? binding.updatedAt : changedAt,
    changedBy: isRebound ? binding.changedBy : changedBy,
  }
}
