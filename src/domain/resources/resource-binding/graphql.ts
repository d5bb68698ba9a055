import {
  builder,
  columnsOf,
  findNode,
  findRelated,
  type InputBuilder,
  idField,
  loadRows,
  mutation,
  Node,
  versionFields,
} from '../../../graphql/builder/index.ts'
import { demand } from '../../../platform/command.ts'
import { encodeId, type IdType } from '../../../platform/id.ts'
import { WebService } from '../../apps/web-service/graphql.ts'
import { webServiceListing } from '../../apps/web-service/index.ts'
import { disconnectResource } from './commands.ts'
import { bindingsByService } from './queries.ts'

export const ResourceBinding = builder.prismaObject('ResourceBinding', {
  description: 'Connection of a managed resource to a service, which receives its address and credentials as variables.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:databases',
  fields: (t) => ({
    id: t.id(idField('ResourceBinding')),
    webService: t.field({
      type: WebService,
      description: 'The service that the resource is connected to.',
      select: { webServiceId: true },
      resolve: ({ webServiceId }, _args, context, info) => findRelated(context, info, webServiceListing, webServiceId),
    }),
    resource: t.field({
      type: Node,
      description: 'The connected resource, such as a database.',
      select: { resourceId: true, resourceType: true },
      resolve: async ({ resourceType, resourceId }, _args, context, info) =>
        (await findNode(context, encodeId(resourceType as IdType, resourceId), info))!,
    }),
    variables: t.exposeStringList('variables', { description: 'Names of the variables that the service receives.' }),
    ...versionFields(t),
  }),
})

builder.prismaObjectField(WebService, 'resourceBindings', (t) =>
  t.field({
    type: [ResourceBinding],
    extensions: { rows: 10 },
    description: 'Connections of managed resources to the service, oldest first.',
    resolve: (service, _args, context, info) => {
      demand(context.caller, 'view:databases')
      return loadRows(context, 'WebService.resourceBindings', service.id, columnsOf(info, 'ResourceBinding'), bindingsByService)
    },
  }),
)

mutation(disconnectResource, {
  versioned: true,
  input: (t: InputBuilder) => ({ id: t.id({ required: true, description: 'ID of the resource binding.' }) }),
  payload: (t) => ({
    deletedId: t.id({ description: 'ID of the deleted binding.', resolve: (result) => encodeId('ResourceBinding', result.deletedId) }),
  }),
})
