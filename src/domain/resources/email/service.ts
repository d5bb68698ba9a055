/** Commands on email services. */
import { z } from 'zod'
import type { EmailService } from '../../../generated/prisma/client.ts'
import { changes, defineCommand, demandOrganization } from '../../../platform/command.ts'
import { assignments, newRow, row, rows, run, sql } from '../../../platform/db/index.ts'
import { publish } from '../../../platform/events.ts'
import { newId } from '../../../platform/id.ts'
import { nameSchema } from '../../../platform/name.ts'
import type { Work } from '../../../platform/work.ts'
import type { OrganizationContents } from '../../access/organization/index.ts'
import { keySchema } from '../../configuration/variable/index.ts'
import { insertResource, removeResource } from '../resource/index.ts'
import { connectResource, disconnectAll, resourceBindingCreated, resourceBindingDeleted } from '../resource-binding/index.ts'
import { bindableEmailService } from './bound-value.ts'
import { emailErrors } from './errors.ts'
import { emailServiceEvents, serviceEventOf } from './events.ts'
import { addKey } from './key.ts'
import { lockEmailService } from './model.ts'

export const createEmailService = defineCommand({
  name: 'createEmailService',
  description:
    'Creates an email service. It starts in the sandbox, where it sends to verified recipients only. A key that is restricted to a project cannot create one.',
  permission: 'manage:email',
  ids: {},
  targetType: 'EmailService',
  input: z.object({ name: nameSchema }),
  emits: [emailServiceEvents.created],
  async run(work, { name }) {
    const { organizationId, subject } = work.caller
    demandOrganization(work.caller, 'create email services')
    const id = newId()
    await insertResource(work, { id, type: 'EmailService', environment: null })
    const emailService = (await row<EmailService>(
      work.tx,
      sql`insert into email_service ${newRow({ id, organizationId, name, createdBy: subject.name })} returning *`,
    ))!
    await publish(work, emailServiceEvents.created, serviceEventOf(emailService))
    return { emailService }
  },
})

export const updateEmailService = defineCommand({
  name: 'updateEmailService',
  description:
    'Updates an email service. Omitted fields are left unchanged. `PRODUCTION` requires a verified domain, else the request fails with `sending_domain_not_verified`.',
  permission: 'manage:email',
  ids: { id: 'EmailService' },
  targetType: 'EmailService',
  target: (work, { id }) => lockEmailService(work, id!),
  input: z.object({
    name: nameSchema.nullish(),
    mode: z.enum(['SANDBOX', 'PRODUCTION']).nullish(),
    trackOpens: z.boolean().nullish(),
    trackClicks: z.boolean().nullish(),
  }),
  emits: [emailServiceEvents.updated],
  async run(work, input, target: EmailService) {
    const given = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== null && value !== undefined))
    if (!changes(target, given)) return { emailService: target }
    if (given.mode === 'PRODUCTION' && target.mode !== 'PRODUCTION' && !(await hasVerifiedDomain(work, target.id))) {
      const text = 'mode: PRODUCTION requires a verified domain. Add one, publish its DNS records and verify it.'
      throw emailErrors.sending_domain_not_verified({ field: 'mode', text })
    }
    return { emailService: await changeService(work, target, given) }
  },
})

const hasVerifiedDomain = async (work: Work, id: string): Promise<boolean> =>
  (await row(work.tx, sql`select 1 from sending_domain where email_service_id = ${id}::uuid and status = 'VERIFIED' limit 1`)) !== null

/** Changes a locked service and publishes the event. */
export async function changeService(work: Work, { id }: Pick<EmailService, 'id'>, values: object): Promise<EmailService> {
  const changed = (await row<EmailService>(
    work.tx,
    sql`update email_service set ${assignments(values)}, version = version + 1 where id = ${id}::uuid returning *`,
  ))!
  await publish(work, emailServiceEvents.updated, serviceEventOf(changed))
  return changed
}

export const deleteEmailService = defineCommand({
  name: 'deleteEmailService',
  description:
    'Deletes an email service with its domains, recipients, keys and messages. Queued mail is still sent. Fails with `resource_in_use` while it is connected to services, unless `force` is true.',
  permission: 'delete:email',
  ids: { id: 'EmailService' },
  targetType: 'EmailService',
  target: (work, { id }) => lockEmailService(work, id!),
  input: z.object({ force: z.boolean().nullish() }),
  emits: [emailServiceEvents.deleted, resourceBindingDeleted],
  async run(work, { force }, target: EmailService) {
    await removeService(work, target, { force: Boolean(force) })
    return { deletedId: target.id }
  },
})

async function removeService(work: Work, service: EmailService, options: { force: boolean }): Promise<void> {
  await disconnectAll(work, service.id, options)
  // Before the row is gone, so that later concepts find what belongs to it.
  await publish(work, emailServiceEvents.deleted, serviceEventOf(service))
  await removeResource(work, service.id)
  work.wake('credentials')
}

const servicesPerStep = 10

export const emailOfOrganization: OrganizationContents = {
  name: 'email services',
  phase: 'objects',
  emits: [emailServiceEvents.deleted, resourceBindingDeleted],
  async remove(work) {
    const { organizationId } = work.caller
    const services = await rows<EmailService>(
      work.tx,
      sql`select * from email_service where organization_id = ${organizationId}::uuid order by id limit ${servicesPerStep} for update`,
    )
    for (const service of services) await removeService(work, service, { force: true })
    if (services.length === servicesPerStep) return 'more'
    await run(work.tx, sql`delete from email_usage where organization_id = ${organizationId}::uuid`)
    await run(work.tx, sql`delete from sandbox_code_count where organization_id = ${organizationId}::uuid`)
    return 'done'
  },
}

export const connectEmailService = defineCommand({
  name: 'connectEmailService',
  description:
    'Connects an email service to a web service, which receives an API key of its own and the variables `EMAIL_API_URL`, `EMAIL_API_KEY` and `EMAIL_FROM` from the next deployment on. Disconnecting revokes the key. Fails with `key_taken` if another connected resource already gives the service a variable of the same name.',
  permission: 'manage:email',
  ids: { emailServiceId: 'EmailService', webServiceId: 'WebService' },
  targetType: 'EmailService',
  target: (work, { emailServiceId }) => lockEmailService(work, emailServiceId!),
  input: z.object({ webServiceId: z.string(), prefix: keySchema.nullish() }),
  emits: [resourceBindingCreated],
  async run(work, { webServiceId, prefix }, service: EmailService) {
    const resource = { id: service.id, projectId: null, environmentId: null }
    const connected = await connectResource(work, { kind: bindableEmailService, resource, webServiceId, alias: prefix ?? null })
    const { id } = connected.resourceBinding
    const target = await row<{ name: string }>(work.tx, sql`select name from web_service where id = ${webServiceId}::uuid`)
    await addKey(work, { emailServiceId: service.id, name: target!.name, resourceBindingId: id })
    return connected
  },
  audited: (_input, { resourceBinding }) => ({ resourceBindingId: resourceBinding.id, variables: resourceBinding.variables }),
})
