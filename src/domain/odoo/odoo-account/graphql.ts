import {
  builder,
  columnsOf,
  connectionOf,
  enumType,
  findVisible,
  type InputBuilder,
  idField,
  mutation,
  Node,
  payloadOf,
  rootConnection,
  versionFields,
} from '../../../graphql/builder/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { WebService } from '../../apps/web-service/graphql.ts'
import { webServiceListing } from '../../apps/web-service/index.ts'
import { createOdooAccount, deleteOdooAccount, updateOdooAccount } from './commands.ts'
import { countOdooAccounts, findOdooAccount, listOdooAccounts, odooAccountListing } from './queries.ts'

export const OdooTransport = enumType('OdooTransport', 'API of the Odoo server that is called.', {
  JSON_RPC: 'JSON-RPC, `/jsonrpc`, with the password or an API key of the user.',
  JSON_2: 'JSON-2, `/json/2`, with an API key of the user. Odoo 19 and newer.',
})

export const OdooAccount = builder.prismaObject('OdooAccount', {
  description: 'A connection to a database of an Odoo server, with a login. It belongs to the organization.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:odoo',
  fields: (t) => ({
    id: t.id(idField('OdooAccount')),
    name: t.exposeString('name', { description: 'Name of the Odoo account.' }),
    url: t.exposeString('url', { description: 'Address of the Odoo server.' }),
    database: t.exposeString('database', { description: 'Name of the database.' }),
    login: t.exposeString('login', { description: 'Login of the Odoo user.' }),
    transport: t.expose('transport', { type: OdooTransport, description: 'API of the Odoo server that is called.' }),
    odooVersion: t.exposeString('odooVersion', {
      nullable: true,
      description: 'Version of the Odoo server when the account was saved, such as `17.0`. Null if the server did not say.',
    }),
    webService: t.field({
      type: WebService,
      nullable: true,
      description:
        'Web service of this installation that is the Odoo server. Null if it runs elsewhere, if the service was deleted, or if the caller cannot see it.',
      select: { webServiceId: true },
      resolve: ({ webServiceId }, _args, context, info) =>
        webServiceId ? findVisible(context, info, webServiceListing, webServiceId) : null,
    }),
    ...versionFields(t),
  }),
})

rootConnection(connectionOf(OdooAccount, odooAccountListing), { list: listOdooAccounts, count: countOdooAccounts })

builder.queryField('odooAccount', (t) =>
  t.field({
    type: OdooAccount,
    nullable: true,
    description: findOdooAccount.description,
    args: { id: t.arg.id({ required: true, description: 'ID of the Odoo account.' }) },
    resolve: (_root, args, context, info) => context.call(findOdooAccount, args, columnsOf(info, 'OdooAccount')),
  }),
)

const texts = {
  name: 'Name of the Odoo account, from 1 to 100 characters.',
  url: 'Address of the Odoo server, such as `https://erp.example.com`, at most 500 characters. Plain http is allowed only for addresses in `EGRESS_ALLOW`.',
  webServiceId: 'ID of the web service of this installation that is the Odoo server, in place of `url`.',
  database: 'Name of the database, from 1 to 63 characters.',
  login: 'Login of the Odoo user, from 1 to 200 characters.',
  secret:
    'Password or API key of the Odoo user, from 1 to 1000 characters. Odoo verifies API keys faster than passwords. It is stored encrypted and never returned.',
  transport: 'API of the Odoo server to call.',
}

mutation(createOdooAccount, {
  input: (t) => ({
    name: t.string({ required: true, description: texts.name }),
    url: t.string({ description: `${texts.url} Required unless \`webServiceId\` is given.` }),
    webServiceId: t.id({ description: texts.webServiceId }),
    database: t.string({ required: true, description: texts.database }),
    login: t.string({ required: true, description: texts.login }),
    secret: t.string({ required: true, description: texts.secret }),
    transport: t.field({ type: OdooTransport, defaultValue: 'JSON_RPC', description: texts.transport }),
  }),
  payload: payloadOf('odooAccount', OdooAccount, 'The created Odoo account.'),
})

const idInput = (t: InputBuilder) => ({ id: t.id({ required: true, description: 'ID of the Odoo account.' }) })

mutation(updateOdooAccount, {
  versioned: true,
  input: (t) => ({
    ...idInput(t),
    name: t.string({ description: texts.name }),
    url: t.string({ description: texts.url }),
    webServiceId: t.id({ description: texts.webServiceId }),
    database: t.string({ description: texts.database }),
    login: t.string({ description: texts.login }),
    secret: t.string({ description: texts.secret }),
    transport: t.field({ type: OdooTransport, description: texts.transport }),
  }),
  payload: payloadOf('odooAccount', OdooAccount, 'The updated Odoo account.'),
})

mutation(deleteOdooAccount, {
  versioned: true,
  input: idInput,
  payload: (t) => ({
    deletedId: t.id({ description: 'ID of the deleted Odoo account.', resolve: (result) => encodeId('OdooAccount', result.deletedId) }),
  }),
})
