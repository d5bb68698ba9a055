import { z } from 'zod'
import type { Organization } from '../../../generated/prisma/client.ts'
import { defineCommand, demandOrganization } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { startOperation } from '../operation/index.ts'
import { markOrganizationDeleting } from '../organization/index.ts'
import { operationName } from './model.ts'

export const deleteOrganization = defineCommand({
  name: operationName,
  description:
    'Deletes the current organization with everything in it: services, databases, backups, buckets with their objects, email services, webhook endpoints, messages and the audit log. Nothing can be restored. At once, all its API keys, sessions and other credentials stop working, except that whoever requested the deletion can still read the operation until it is complete and gone too. Fails with `last_organization` for the last organization of the installation.',
  permission: 'delete:organization',
  ids: {},
  targetType: 'Organization',
  target: ({ tx, caller }) =>
    row<Organization>(tx, sql`select * from organization where id = ${caller.organizationId}::uuid and deleting_at is null for key share`),
  input: z.object({ confirmSlug: z.string() }),
  emits: [],
  async run(work, { confirmSlug }, organization: Organization) {
    demandOrganization(work.caller, 'delete the organization')
    if (confirmSlug !== organization.slug)
      throw errors.invalid_input({ field: 'confirmSlug', text: 'confirmSlug: must be the slug of the current organization' })
    await markOrganizationDeleting(work)
    work.app.log.info(
      { organizationId: organization.id, slug: organization.slug, requestedBy: work.caller.subject },
      'the deletion of an organization was requested',
    )
    const operation = await startOperation(work, { type: operationName, projectId: null, input: {}, totalSteps: null })
    return { deletedId: organization.id, operation }
  },
})
