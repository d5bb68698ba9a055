/** The subscription to the state of a resource. Rights are checked when it begins; sockets end when a credential does. */
import type { GraphQLResolveInfo } from 'graphql'
import { builder, columnsOf, findNode, followRow, type GraphqlContext, Node, readerOf } from '../../../graphql/builder/index.ts'
import { demand } from '../../../platform/command.ts'
import { errors } from '../../../platform/errors.ts'
import { parseTypeId } from '../../../platform/id.ts'
import { supervisedKinds } from './model.ts'
import { resourceTopic } from './store.ts'

type Resource = { id: string; updatedAt: Date }

async function* followResource(context: GraphqlContext, id: string, info: GraphQLResolveInfo): AsyncGenerator<Resource, void, void> {
  const parsed = parseTypeId(id)
  const listing =
    parsed && supervisedKinds.of(context.app).some(({ type }) => type === parsed.type) && context.app.domain.nodes.get(parsed.type)
  if (!parsed || !listing) throw errors.not_found({ field: 'id' })
  demand(context.caller, listing.permission)
  if ((await listing.find(readerOf(context, []), [parsed.uuid])).length === 0) throw errors.not_found({ field: 'id' })
  const columns = ['updatedAt', ...columnsOf(info, parsed.type)]
  const read = async () => ((await findNode(context, id, columns)) as Resource | null) ?? undefined
  yield* followRow(context, { topic: resourceTopic(parsed.uuid), read, stateOf: ({ updatedAt }) => updatedAt.getTime() })
}

builder.subscriptionField('resourceUpdated', (t) =>
  t.field({
    type: Node,
    description:
      'State of a managed resource that runs as a server, such as a database: the current state, then the state after every change. Completes when the resource is removed.',
    args: { id: t.arg.id({ required: true, description: 'ID of the resource.' }) },
    subscribe: (_root, { id }, context, info) => followResource(context, id, info),
    resolve: (resource: Resource) => resource,
  }),
)
