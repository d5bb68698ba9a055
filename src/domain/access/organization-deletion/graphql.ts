import { mutation } from '../../../graphql/builder/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { Operation } from '../operation/graphql.ts'
import { deleteOrganization } from './commands.ts'

mutation(deleteOrganization, {
  versioned: true,
  input: (t) => ({
    confirmSlug: t.string({ required: true, description: 'Slug of the organization, to confirm which one is deleted.' }),
  }),
  payload: (t) => ({
    deletedId: t.id({ description: 'ID of the organization.', resolve: (result) => encodeId('Organization', result.deletedId) }),
    operation: t.field({
      type: Operation,
      description: 'Operation that removes the organization. It is removed with the organization when it is complete.',
      resolve: (result) => result.operation,
    }),
  }),
})
