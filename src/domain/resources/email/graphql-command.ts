import { builder, type InputBuilder, mutation, payloadOf } from '../../../graphql/builder/index.ts'
import { encodeId, type IdType } from '../../../platform/id.ts'
import { writeWarningsField } from '../../configuration/variable/graphql.ts'
import { ResourceBinding } from '../resource-binding/graphql.ts'
import { addSendingDomain, deleteSendingDomain, verifySendingDomain } from './domain.ts'
import { EmailApiKey, EmailMessage, EmailMode, EmailService, SandboxRecipient, SendingDomain } from './graphql.ts'
import { createEmailApiKey, revokeEmailApiKey } from './key.ts'
import { addSandboxRecipient, deleteSandboxRecipient, verifySandboxRecipient } from './recipient.ts'
import { sendEmail } from './send.ts'
import { connectEmailService, createEmailService, deleteEmailService, updateEmailService } from './service.ts'

const idInput = (noun: string) => (t: InputBuilder) => ({ id: t.id({ required: true, description: `ID of the ${noun}.` }) })
const serviceInput = (t: InputBuilder) => ({ emailServiceId: t.id({ required: true, description: 'ID of the email service.' }) })
const deletedId = (type: IdType, noun: string) => (t: Parameters<ReturnType<typeof payloadOf<{ deletedId: string }>>>[0]) => ({
  deletedId: t.id({ description: `ID of the deleted ${noun}.`, resolve: (result) => encodeId(type, result.deletedId) }),
})

mutation(createEmailService, {
  input: (t) => ({ name: t.string({ required: true, description: 'Name of the service, from 1 to 100 characters.' }) }),
  payload: payloadOf('emailService', EmailService, 'The created service.'),
})

mutation(updateEmailService, {
  versioned: true,
  input: (t) => ({
    ...idInput('email service')(t),
    name: t.string({ description: 'New name, from 1 to 100 characters.' }),
    mode: t.field({ type: EmailMode, description: 'New mode. `PRODUCTION` requires a verified domain.' }),
    trackOpens: t.boolean({ description: 'Whether to report opened messages.' }),
    trackClicks: t.boolean({ description: 'Whether to report clicks on links.' }),
  }),
  payload: payloadOf('emailService', EmailService, 'The updated service.'),
})

mutation(deleteEmailService, {
  versioned: true,
  input: (t) => ({
    ...idInput('email service')(t),
    force: t.boolean({ defaultValue: false, description: 'Whether to delete the service even if web services are connected to it.' }),
  }),
  payload: deletedId('EmailService', 'service'),
})

mutation(createEmailApiKey, {
  input: (t) => ({ ...serviceInput(t), name: t.string({ required: true, description: 'Name of the key, from 1 to 100 characters.' }) }),
  payload: (t) => ({
    emailApiKey: t.field({ type: EmailApiKey, description: 'The created key.', resolve: (result) => result.emailApiKey }),
    plaintextKey: t.string({
      nullable: true,
      description: 'Plaintext key, returned only once. Null when a request is repeated with the same idempotency key.',
      resolve: (result) => result.plaintextKey,
    }),
  }),
})

mutation(revokeEmailApiKey, { input: idInput('API key'), payload: payloadOf('emailApiKey', EmailApiKey, 'The revoked key.') })

mutation(addSendingDomain, {
  input: (t) => ({
    ...serviceInput(t),
    domain: t.string({
      required: true,
      description: 'Name of the domain, such as `mail.example.com`. Unicode names are converted to ASCII.',
    }),
  }),
  payload: payloadOf('sendingDomain', SendingDomain, 'The added domain.'),
})

mutation(verifySendingDomain, {
  input: idInput('sending domain'),
  payload: payloadOf('sendingDomain', SendingDomain, 'The domain, with the result of the check.'),
})

mutation(deleteSendingDomain, { versioned: true, input: idInput('sending domain'), payload: deletedId('SendingDomain', 'domain') })

mutation(addSandboxRecipient, {
  input: (t) => ({
    ...serviceInput(t),
    email: t.string({ required: true, description: 'Address of the recipient, without a name.' }),
    code: t.string({ description: 'Code from the mail, to verify the recipient that has the address. 6 digits.' }),
  }),
  payload: payloadOf('sandboxRecipient', SandboxRecipient, 'The added recipient.'),
})

mutation(verifySandboxRecipient, {
  input: (t) => ({ ...idInput('sandbox recipient')(t), code: t.string({ required: true, description: 'Code from the mail, 6 digits.' }) }),
  payload: payloadOf('sandboxRecipient', SandboxRecipient, 'The verified recipient.'),
})

mutation(deleteSandboxRecipient, {
  versioned: true,
  input: idInput('sandbox recipient'),
  payload: deletedId('SandboxRecipient', 'recipient'),
})

const EmailAttachmentInput = builder.inputType('EmailAttachmentInput', {
  description: 'An attachment of a mail.',
  fields: (t) => ({
    filename: t.string({ required: true, description: 'File name, from 1 to 255 characters without slashes.' }),
    contentType: t.string({ description: 'Media type. Defaults to one that fits the file name.' }),
    contentBase64: t.string({ required: true, description: 'Content in base64 with padding.' }),
  }),
})

const mailboxes = (t: InputBuilder, description: string) => t.stringList({ description })

mutation(sendEmail, {
  input: (t) => ({
    ...serviceInput(t),
    from: t.string({ required: true, description: 'Sender: `hello@mail.example.com` or `Shop <hello@mail.example.com>`.' }),
    to: t.stringList({ required: true, description: 'Recipients, each as `ada@example.com` or `Ada <ada@example.com>`. At least one.' }),
    cc: mailboxes(t, 'Recipients of a copy. At most 50 recipients in all.'),
    bcc: mailboxes(t, 'Recipients of a copy that the others do not see.'),
    replyTo: mailboxes(t, 'Addresses for answers. Defaults to the sender.'),
    subject: t.string({ required: true, description: 'Subject, from 1 to 500 characters without line breaks.' }),
    html: t.string({ description: 'HTML body. Required if there is no `text`.' }),
    text: t.string({ description: 'Plain text body. Required if there is no `html`.' }),
    headers: t.field({
      type: 'JSON',
      description:
        'Additional headers, as an object of names and values. Allowed are those that begin with `X-`, and Auto-Submitted, Feedback-ID, Importance, In-Reply-To, List-Id, List-Unsubscribe, List-Unsubscribe-Post, Precedence, Priority and References.',
    }),
    attachments: t.field({
      type: [EmailAttachmentInput],
      description: 'Attachments, at most 10 MiB in all. Larger ones than a GraphQL request can contain (2 MB) can be sent by the REST API.',
    }),
  }),
  payload: payloadOf('emailMessage', EmailMessage, 'The queued message.'),
})

mutation(connectEmailService, {
  input: (t) => ({
    ...serviceInput(t),
    webServiceId: t.id({ required: true, description: 'ID of the web service.' }),
    prefix: t.string({ description: 'Prefix of the variables, without an underscore. Defaults to `EMAIL`.' }),
  }),
  payload: (t) => ({
    resourceBinding: t.field({ type: ResourceBinding, description: 'The created binding.', resolve: (result) => result.resourceBinding }),
    warnings: writeWarningsField(t, 'Warnings about the variables, such as one that is hidden by an environment variable of the service.'),
  }),
})
