import { connectionOf, mutation, payloadOf, rootConnection } from '../../../graphql/builder/index.ts'
import { Organization } from '../organization/graphql.ts'
import { countOrganizations, listOrganizations, ownOrganizations, switchOrganization } from './organizations.ts'

rootConnection(connectionOf(Organization, ownOrganizations), { list: listOrganizations, count: countOrganizations })

mutation(switchOrganization, {
  input: (t) => ({ organizationId: t.id({ required: true, description: 'ID of the organization to switch to.' }) }),
  payload: payloadOf('organization', Organization, 'The organization that is active now.'),
})
