/** The `permission` of an object type: every field of the type refuses callers without it, however they reached the object. */
import SchemaBuilder, { BasePlugin, type PothosOutputFieldConfig, type SchemaTypes } from '@pothos/core'
import type { GraphQLFieldResolver } from 'graphql'
import type { Permission } from '../../platform/access.ts'
import { errors } from '../../platform/errors.ts'
import type { GraphqlContext } from './context.ts'

declare global {
  export namespace PothosSchemaTypes {
    export interface Plugins<Types extends SchemaTypes> {
      permission: PermissionPlugin<Types>
    }
    export interface ObjectTypeOptions<Types extends SchemaTypes, Shape> {
      permission?: Permission
    }
  }
}

export class PermissionPlugin<Types extends SchemaTypes> extends BasePlugin<Types> {
  override wrapResolve(
    resolve: GraphQLFieldResolver<unknown, Types['Context'], object>,
    { parentType }: PothosOutputFieldConfig<Types>,
  ): GraphQLFieldResolver<unknown, Types['Context'], object> {
    const { permission } = this.buildCache.getTypeConfig(parentType).pothosOptions as { permission?: Permission }
    if (!permission) return resolve
    return (parent, args, context, info) => {
      if (!(context as GraphqlContext).caller.permissions.has(permission)) throw errors.forbidden()
      return resolve(parent, args, context, info)
    }
  }
}

SchemaBuilder.registerPlugin('permission', PermissionPlugin)
