import { builder, columnsOf, type InputBuilder, loadRows, mutation } from '../../../graphql/builder/index.ts'
import { demand } from '../../../platform/command.ts'
import { EmailService } from '../../resources/email/graphql.ts'
import { emailEventWords } from '../../resources/email/index.ts'
import { createEmailWebhook, endpointsByEmailService } from './email.ts'
import { WebhookEndpoint } from './graphql.ts'
import { maxEndpoints } from './model.ts'

builder.prismaObjectField(EmailService, 'webhooks', (t) =>
  t.field({
    type: [WebhookEndpoint],
    extensions: { rows: maxEndpoints },
    description: 'Webhook endpoints that receive events of the service, oldest first.',
    select: { id: true },
    resolve: ({ id }, _args, context, info) => {
      demand(context.caller, 'view:webhooks')
      return loadRows(context, 'EmailService.webhooks', id, columnsOf(info, 'WebhookEndpoint'), endpointsByEmailService)
    },
  }),
)

mutation(createEmailWebhook, {
  input: (t: InputBuilder) => ({
    emailServiceId: t.id({ required: true, description: 'ID of the email service.' }),
    url: t.string({ required: true, description: 'URL to send events to.' }),
    events: t.stringList({
      required: true,
      description: `Events to send, at least one: ${emailEventWords.map((word) => `\`${word}\``).join(', ')}.`,
    }),
  }),
  payload: (t) => ({
    webhookEndpoint: t.field({ type: WebhookEndpoint, description: 'The created endpoint.', resolve: (result) => result.webhookEndpoint }),
    secret: t.string({
      nullable: true,
      description: 'Signing secret, returned only once. Null when a request is repeated with the same idempotency key.',
      resolve: (result) => result.secret,
    }),
  }),
})
