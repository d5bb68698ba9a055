/**
 * The `permission` of an object type, or several of which any is enough: every field of the type refuses callers without it, however they reached
 * the object.
 */
import SchemaBuilder, { BasePlugin, type PothosOutputFieldConfig, type SchemaTypes } from '@pothos/core'
import type { GraphQLFieldResolver } from 'graphql'
import type { Permission } from '../../platform/access.ts'
import { errors } from '../../platform/errors.ts'
import type { GraphqlContext } from './context.ts'
import { levelResolverOf } from './level.ts'

declare global {
  export namespace PothosSchemaTypes {
    export interface Plugins<Types extends SchemaTypes> {
      permission: PermissionPlugin<Types>
    }
    export interface ObjectTypeOptions<Types extends SchemaTypes, Shape> {
      permission?: Permission | readonly Permission[]
    }
  }
}

export class PermissionPlugin<Types extends SchemaTypes> extends BasePlugin<Types> {
  override wrapResolve(
    resolve: GraphQLFieldResolver<unknown, Types['Context'], object>,
    { parentType }: PothosOutputFieldConfig<Types>,
  ): GraphQLFieldResolver<unknown, Types['Context'], object> {
    return this.#guarded(resolve, parentType)
  }

  override onOutputFieldConfig(config: PothosOutputFieldConfig<Types>): PothosOutputFieldConfig<Types> {
    const resolveLevel = levelResolverOf(config)
    if (!resolveLevel) return config
    return { ...config, extensions: { ...config.extensions, resolveLevel: this.#guarded(resolveLevel, config.parentType) } }
  }

  /** A resolver, of a row or of a level, that refuses callers without the permission of the type. */
  #guarded<Parent, Context, Rest extends unknown[], Value>(
    resolve: (parent: Parent, args: object, context: Context, ...rest: Rest) => Value,
    type: string,
  ): (parent: Parent, args: object, context: Context, ...rest: Rest) => Value {
    const { permission } = this.buildCache.getTypeConfig(type).pothosOptions as { permission?: Permission | readonly Permission[] }
    if (!permission) return resolve
    const any = [permission].flat()
    return (parent, args, context, ...rest) => {
      const { permissions } = (context as GraphqlContext).caller
      if (!any.some((each) => permissions.has(each))) throw errors.forbidden()
      return resolve(parent, args, context, ...rest)
    }
  }
}

SchemaBuilder.registerPlugin('permission', PermissionPlugin)
