import {
  builder,
  connectionOf,
  enumType,
  type GraphqlContext,
  idField,
  makeRoom,
  mutation,
  Node,
  rootConnection,
  timestamps,
} from '../../../graphql/builder/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { countOutbox, listOutbox, outboxBytes, outboxListing, readOutboxContents } from './outbox.ts'
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

/** The content of a mail, read once for all fields that show it. */
const contentOf = (context: GraphqlContext, id: string) =>
  context.load('content of an outbox mail', id, async (ids: readonly string[]) => {
    await makeRoom(context, outboxBytes(ids))
    const found = await readOutboxContents(context.app, ids)
    return ids.map((one) => found.get(one))
  })

const OutboxMail = builder.prismaObject('OutboxMail', {
  description: 'A mail that was kept because the setting SMTP_URL is not set. It is not sent later.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:email',
  fields: (t) => ({
    id: t.id(idField('OutboxMail')),
    from: t.string({ description: 'Sender of the mail.', select: { sender: true }, resolve: ({ sender }) => sender }),
    to: t.stringList({
      description: 'Recipients in the `To` header.',
      select: { toAddresses: true },
      resolve: ({ toAddresses }) => toAddresses,
    }),
    subject: t.exposeString('subject', { description: 'Subject of the mail.' }),
    text: t.string({
      nullable: true,
      extensions: { cost: 20 },
      description: 'Plain text of the mail. Null if it has none.',
      resolve: async ({ id }, _args, context) => (await contentOf(context, id))?.text ?? null,
    }),
    html: t.string({
      nullable: true,
      extensions: { cost: 20 },
      description: 'HTML of the mail. Null if it has none.',
      resolve: async ({ id }, _args, context) => (await contentOf(context, id))?.html ?? null,
    }),
    raw: t.string({
      extensions: { cost: 20 },
      description: 'The complete message as it would be sent (RFC 5322). Fails with `query_limit_exceeded` if the messages are too large.',
      resolve: async ({ id }, _args, context) => (await contentOf(context, id))?.raw ?? '',
    }),
    createdAt: t.expose('createdAt', timestamps.createdAt),
    updatedAt: t.expose('updatedAt', timestamps.updatedAt),
  }),
})

rootConnection(connectionOf(OutboxMail, outboxListing), {
  list: listOutbox,
  count: countOutbox,
  args: builder.args((t) => ({
    emailServiceId: t.id({
      description:
        'Return only mails of this email service. Codes for its sandbox recipients are included if the caller has the permission `manage:email`.',
    }),
    to: t.string({ description: 'Return only mails to this address, also as Cc or Bcc.' }),
  })),
})
