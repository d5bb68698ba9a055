/** What keys of the bridge are bound to, as fields of API keys. */
import { builder, findVisible, type GraphqlContext, loadRows } from '../../../graphql/builder/index.ts'
import { ApiKey } from '../../access/api-key/graphql.ts'
import { OdooAccount } from '../odoo-account/graphql.ts'
import { odooAccountListing } from '../odoo-account/index.ts'
import { bindingsByKey } from './key.ts'

const columns = ['apiKeyId', 'odooAccountId', 'allowedModels', 'allowedMethods']
const bindingOf = (context: GraphqlContext, id: string) => loadRows(context, 'ApiKey.binding', id, columns, bindingsByKey)

/** Null for a key that may call all of them, and for keys of other kinds. */
const orNull = (list: readonly string[] | undefined) => (list?.length ? [...list] : null)

builder.prismaObjectFields(ApiKey, (t) => ({
  odooAccount: t.field({
    type: OdooAccount,
    nullable: true,
    description:
      'Odoo account that a key of kind `BRIDGE` calls. Null for other kinds, if the account was deleted, and if the caller cannot view it.',
    select: { id: true },
    resolve: async ({ id }, _args, context, info) => {
      const binding = await bindingOf(context, id)
      return binding && findVisible(context, info, odooAccountListing, binding.odooAccountId)
    },
  }),
  allowedModels: t.stringList({
    nullable: true,
    description: 'Models that a key of kind `BRIDGE` may call, such as `sale.order` and `sale.*`. Null means all models.',
    select: { id: true },
    resolve: async ({ id }, _args, context) => orNull((await bindingOf(context, id))?.allowedModels),
  }),
  allowedMethods: t.stringList({
    nullable: true,
    description:
      'Methods that a key of kind `BRIDGE` may call, such as `search_read` and `search*`. Null means all methods, of which a key with the scope `READ` may call those that read.',
    select: { id: true },
    resolve: async ({ id }, _args, context) => orNull((await bindingOf(context, id))?.allowedMethods),
  }),
}))
