import { builder, connectionOf, enumType, idField, mutation, Node, rootConnection, timestamps } from '../../../graphql/builder/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { countSuppressions, listSuppressions, removeSuppression, suppressionListing } from './suppression.ts'

const MailSuppressionReason = enumType('MailSuppressionReason', 'Reason that an address is suppressed.', {
  BOUNCED: 'A mail to the address bounced permanently.',
  COMPLAINED: 'The recipient reported a mail as spam.',
})

const MailSuppression = builder.prismaObject('MailSuppression', {
  description: 'An address that no mail of the organization is sent to.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:email',
  fields: (t) => ({
    id: t.id(idField('MailSuppression')),
    address: t.exposeString('address', { description: 'Email address, in lower case.' }),
    reason: t.expose('reason', { type: MailSuppressionReason, description: 'Reason that the address is suppressed.' }),
    detail: t.exposeString('detail', {
      nullable: true,
      description: 'What the mail server or the report said. Null if it said nothing.',
    }),
    createdAt: t.expose('createdAt', timestamps.createdAt),
    updatedAt: t.expose('updatedAt', timestamps.updatedAt),
  }),
})

rootConnection(connectionOf(MailSuppression, suppressionListing), {
  list: listSuppressions,
  count: countSuppressions,
  args: builder.args((t) => ({ address: t.string({ description: 'Return only this address.' }) })),
})

mutation(removeSuppression, {
  input: (t) => ({ id: t.id({ required: true, description: 'ID of the suppressed address.' }) }),
  payload: (t) => ({
    deletedId: t.id({ description: 'ID of the removed entry.', resolve: (result) => encodeId('MailSuppression', result.deletedId) }),
  }),
})
