/** A service deployed from git sends mail with the email service that it is connected to, through its variables. */
import { expect, it } from 'vitest'
import { acceptance, until } from './support.ts'

const world = acceptance()

it('sends through its variables until it is disconnected, and the mail is in the local outbox', async () => {
  const { gql, router } = world.server
  const { emailService } = await world.mutate('createEmailService', { name: 'Receipts' }, 'emailService { id }')
  const { sandboxRecipient } = await world.mutate(
    'addSandboxRecipient',
    { emailServiceId: emailService.id, email: 'ada@example.com' },
    'sandboxRecipient { id }',
  )
  const outbox = async (subject: RegExp) =>
    until('the mail is in the outbox', async () => {
      const found = await gql('query ($id: ID!) { mailOutbox(emailServiceId: $id, to: "ada@example.com") { nodes { subject text } } }', {
        id: emailService.id,
      })
      return found.mailOutbox.nodes.find((mail: { subject: string }) => subject.test(mail.subject))
    })
  const code = /^ +(\d{6})$/m.exec((await outbox(/confirmation code/)).text)![1]!
  await world.mutate('verifySandboxRecipient', { id: sandboxRecipient.id, code }, 'sandboxRecipient { verifiedAt }')

  const repository = await world.app('mailer')
  const service = await world.service({ name: 'Mailer', repositoryUrl: repository.url })
  const { resourceBinding } = await world.mutate(
    'connectEmailService',
    { emailServiceId: emailService.id, webServiceId: service.id },
    'resourceBinding { id variables }',
  )
  await world.live(service)
  const sent = await router(service.slug, '/send?to=ada@example.com')
  expect(sent.status, sent.body).toBe(200)
  expect(JSON.parse(sent.body)).toMatchObject({ status: 'queued', mode: 'sandbox', to: ['ada@example.com'] })
  expect((await outbox(/From the app/)).text).toContain('Sent by a deployed service.')
  expect((await router(service.slug, '/send?to=eve@example.com')).status).toBe(400)

  await world.mutate('disconnectResource', { id: resourceBinding.id }, 'deletedId')
  await until('the key is refused', async () => (await router(service.slug, '/send?to=ada@example.com')).status === 401)
})
