/**
 * The columns that an operation needs of a row. Each field of a type declares the columns that it reads: an exposed field its own, any
 * other one with `select`, to which the type of its `resolve` is bound. Lists and look-ups read these and no others. The `select` is
 * Pothos' own; its Prisma plugin would load what is missing row by row, so the declarations are taken from it here.
 */
import SchemaBuilder, { BasePlugin, type PothosOutputFieldConfig, type SchemaTypes } from '@pothos/core'
import {
  GraphQLIncludeDirective,
  type GraphQLNamedType,
  type GraphQLResolveInfo,
  GraphQLSkipDirective,
  getDirectiveValues,
  getNamedType,
  isAbstractType,
  isObjectType,
  Kind,
  type SelectionSetNode,
} from 'graphql'
import type { Columns, Reader } from '../../platform/listing.ts'
import type { GraphqlContext } from './context.ts'
import { oncePerSelection } from './level.ts'
import type { Loading } from './loader.ts'

declare global {
  export namespace PothosSchemaTypes {
    export interface Plugins<Types extends SchemaTypes> {
      columns: ColumnsPlugin<Types>
    }
  }
}

export class ColumnsPlugin<Types extends SchemaTypes> extends BasePlugin<Types> {
  override onOutputFieldConfig(config: PothosOutputFieldConfig<Types>): PothosOutputFieldConfig<Types> {
    const { pothosPrismaSelect: select, ...extensions } = config.extensions ?? {}
    if (!select) return config
    if (typeof select !== 'object') throw new Error(`${config.parentType}.${config.name} must select columns by name`)
    return {
      ...config,
      extensions: { ...extensions, columns: [...((extensions.columns as Columns | undefined) ?? []), ...Object.keys(select)] },
    }
  }
}

SchemaBuilder.registerPlugin('columns', ColumnsPlugin)

/** The columns that the selection of a field asks for of the rows of a type, which the field returns itself or in a connection. */
export const columnsOf = (info: GraphQLResolveInfo, type: string): Columns =>
  oncePerSelection(info, `columns of ${type}`, () => collect(info, type))

/** Fields of a connection through which its rows are reached. */
const transparent = new Set(['edges', 'node', 'nodes'])

function collect(info: GraphQLResolveInfo, name: string): Columns {
  const { schema, fragments, variableValues } = info
  const target = schema.getType(name)
  if (!isObjectType(target)) throw new Error(`${name} is not an object type`)
  const fields = target.getFields()
  const columns = new Set<string>()

  /** The target for what it is or implements; a connection, an edge or another implementation as it is. */
  const narrowed = (type: GraphQLNamedType): GraphQLNamedType => (isAbstractType(type) && schema.isSubType(type, target) ? target : type)

  function visit({ selections }: SelectionSetNode, type: GraphQLNamedType): void {
    for (const selection of selections) {
      if (getDirectiveValues(GraphQLSkipDirective, selection, variableValues)?.if === true) continue
      if (getDirectiveValues(GraphQLIncludeDirective, selection, variableValues)?.if === false) continue
      if (selection.kind === Kind.FIELD) {
        if (type === target) add(selection.name.value)
        else if (selection.selectionSet && transparent.has(selection.name.value) && isObjectType(type))
          visit(selection.selectionSet, narrowed(getNamedType(type.getFields()[selection.name.value]!.type)))
        continue
      }
      const part = selection.kind === Kind.FRAGMENT_SPREAD ? fragments[selection.name.value]! : selection
      const condition = part.typeCondition ? narrowed(schema.getType(part.typeCondition.name.value)!) : type
      if (condition === type) visit(part.selectionSet, type)
    }
  }

  function add(field: string): void {
    for (const column of (fields[field]?.extensions.columns as Columns | undefined) ?? []) columns.add(column)
  }

  for (const node of info.fieldNodes) if (node.selectionSet) visit(node.selectionSet, narrowed(getNamedType(info.returnType)))
  return interned(columns)
}

const lists = new Map<string, Columns>()
const listsMost = 1_000

/** One list for equal sets, in order: the same selection gives the same statement. */
function interned(columns: ReadonlySet<string>): Columns {
  const sorted = [...columns].sort()
  const name = sorted.join()
  const list = lists.get(name) ?? sorted
  if (lists.size >= listsMost) lists.clear()
  lists.set(name, list)
  return list
}

/**
 * Batches all keys of one name that a tick asks for, such as the parents of a level. `read` gives one value a key, in order, with the
 * columns that any of the fields asks for.
 */
export function loadRows<Value>(
  context: GraphqlContext,
  name: string,
  key: string,
  columns: Columns,
  read: (reader: Reader, keys: readonly string[]) => Promise<readonly Value[]>,
): Loading<Value> {
  return context.load(name, { key, columns }, (asked: readonly { key: string; columns: Columns }[]) => {
    const [first, ...others] = new Set(asked.map((item) => item.columns))
    const reader = readerOf(context, others.length === 0 ? first : interned(new Set([first!, ...others].flat())))
    return read(
      reader,
      asked.map((item) => item.key),
    )
  })
}

export const readerOf = ({ app, caller }: GraphqlContext, columns?: Columns): Reader => ({ tx: app.db, caller, columns })
