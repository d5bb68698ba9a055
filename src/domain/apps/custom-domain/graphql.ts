import {
  builder,
  columnsOf,
  connectionOf,
  enumType,
  findRelated,
  idField,
  mutation,
  Node,
  nestedConnection,
  payloadOf,
  versionFields,
} from '../../../graphql/builder/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { WebService } from '../web-service/graphql.ts'
import { webServiceListing } from '../web-service/index.ts'
import { addCustomDomain, deleteCustomDomain } from './commands.ts'
import { maxDomains } from './model.ts'
import { customDomainListing, findCustomDomain } from './queries.ts'

export const DnsCheckStatus = enumType('DnsCheckStatus', 'Whether a DNS record is published.', {
  PENDING: 'Not found, or not checked yet.',
  VERIFIED: 'Found.',
  FAILED: 'Another record was found in its place.',
})

export const CustomDomain = builder.prismaObject('CustomDomain', {
  description: "A host name of a team's own for a web service or a static site.",
  interfaces: [Node],
  select: { id: true },
  permission: 'view:domains',
  fields: (t) => ({
    id: t.id(idField('CustomDomain')),
    domain: t.exposeString('domain', { description: 'Name of the domain, in lower case and ASCII.' }),
    webService: t.field({
      type: WebService,
      description: 'Service that is served at the domain.',
      select: { webServiceId: true },
      resolve: ({ webServiceId }, _args, context, info) => findRelated(context, info, webServiceListing, webServiceId),
    }),
    ...versionFields(t),
  }),
})

builder.queryField('customDomain', (t) =>
  t.field({
    type: CustomDomain,
    nullable: true,
    description: 'Custom domain with the given ID. Null if it does not exist.',
    args: { id: t.arg.id({ required: true, description: 'ID of the custom domain.' }) },
    resolve: (_root, args, context, info) => context.call(findCustomDomain, args, columnsOf(info, 'CustomDomain')),
  }),
)

nestedConnection(WebService, 'customDomains', connectionOf(CustomDomain, customDomainListing), {
  by: 'webServiceId',
  description: `Custom domains of the service, oldest first, at most ${maxDomains}.`,
})

mutation(addCustomDomain, {
  input: (t) => ({
    webServiceId: t.id({ required: true, description: 'ID of the service.' }),
    domain: t.string({
      required: true,
      description: 'Name of the domain, such as `www.example.com`. Unicode names are converted to ASCII.',
    }),
  }),
  payload: payloadOf('customDomain', CustomDomain, 'The added domain.'),
})

mutation(deleteCustomDomain, {
  versioned: true,
  input: (t) => ({ id: t.id({ required: true, description: 'ID of the custom domain.' }) }),
  payload: (t) => ({
    deletedId: t.id({ description: 'ID of the deleted domain.', resolve: (result) => encodeId('CustomDomain', result.deletedId) }),
  }),
})
