import {
  builder,
  connectionOf,
  enumType,
  findVisible,
  idField,
  mutation,
  Node,
  nestedConnection,
  rootConnection,
  timestamps,
} from '../../../graphql/builder/index.ts'
import { OdooAccount } from '../odoo-account/graphql.ts'
import { odooAccountListing } from '../odoo-account/index.ts'
import { callOdoo } from './commands.ts'
import { bridgeCallListing, countBridgeCalls, listBridgeCalls } from './queries.ts'

const BridgeCallOutcome = enumType('BridgeCallOutcome', 'How a call of Odoo ended.', {
  SUCCEEDED: 'Odoo returned a result.',
  FAILED: 'The call was refused, or failed. See `errorCode`.',
})

const BridgeCall = builder.prismaObject('BridgeCall', {
  description: 'Record of a call of Odoo, by an API key of kind `BRIDGE` or by `callOdoo`. It contains neither arguments nor results.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:odoo',
  fields: (t) => ({
    id: t.id(idField('BridgeCall')),
    odooAccount: t.field({
      type: OdooAccount,
      nullable: true,
      description: 'Odoo account that was called. Null if it was deleted.',
      select: { odooAccountId: true },
      resolve: ({ odooAccountId }, _args, context, info) => findVisible(context, info, odooAccountListing, odooAccountId),
    }),
    calledBy: t.exposeString('calledBy', { description: 'Name of the API key or user that made the call.' }),
    model: t.exposeString('model', { description: 'Model that was called, such as `sale.order`.' }),
    method: t.exposeString('method', { description: 'Method that was called, such as `search_read`.' }),
    outcome: t.field({
      type: BridgeCallOutcome,
      description: 'How the call ended.',
      select: { errorCode: true },
      resolve: ({ errorCode }) => (errorCode === null ? 'SUCCEEDED' : 'FAILED'),
    }),
    errorCode: t.exposeString('errorCode', { nullable: true, description: 'Code of the error. Null if the call succeeded.' }),
    durationMs: t.exposeInt('durationMs', {
      description: 'Duration of the call in milliseconds, including the wait for other calls of the account.',
    }),
    createdAt: t.expose('createdAt', timestamps.createdAt),
    updatedAt: t.expose('createdAt', timestamps.updatedAt),
  }),
})

const outcomeArgument = builder.args((t) => ({
  outcome: t.field({ type: BridgeCallOutcome, description: 'Return only calls that ended like this.' }),
}))
const bridgeCalls = connectionOf(BridgeCall, bridgeCallListing)

rootConnection(bridgeCalls, {
  list: listBridgeCalls,
  count: countBridgeCalls,
  args: {
    ...builder.args((t) => ({ odooAccountId: t.id({ description: 'Return only calls of this Odoo account.' }) })),
    ...outcomeArgument,
  },
})
nestedConnection(OdooAccount, 'bridgeCalls', bridgeCalls, {
  by: 'odooAccountId',
  description: 'Calls of the Odoo account, newest first.',
  args: outcomeArgument,
})

mutation(callOdoo, {
  input: (t) => ({
    odooAccountId: t.id({ required: true, description: 'ID of the Odoo account to call.' }),
    model: t.string({ required: true, description: 'Model, such as `sale.order`.' }),
    method: t.string({ required: true, description: 'Method of the model, such as `search_read`.' }),
    args: t.field({ type: 'JSON', description: 'List of positional arguments.' }),
    kwargs: t.field({ type: 'JSON', description: 'Object with the named arguments.' }),
  }),
  payload: (t) => ({
    data: t.field({ type: 'JSON', nullable: true, description: 'Result of the method.', resolve: (result) => result.data }),
  }),
})
