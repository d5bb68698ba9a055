/** Invitations to an organization, by a link that is mailed to an address and works once. */
import { defineConcept } from '../../../platform/concept.ts'
import { stamped } from '../../../platform/db/constraints.ts'
import { memberJoined } from '../member/index.ts'
import { organizationContents, rowsOfAccess } from '../organization/index.ts'
import { signUpInvitations } from '../session/index.ts'
import { acceptInvitation as accept } from './accept.ts'
import { acceptInvitation } from './accept-command.ts'
import { inviteMember, revokeInvitation } from './commands.ts'
import { invitationErrors } from './errors.ts'
import { memberInvited } from './events.ts'
import { countInvitations, invitationListing, listInvitations } from './queries.ts'
import { reactions } from './reactions.ts'

export { type AcceptingUser, acceptInvitation, type InvitationView, lookUpInvitation } from './accept.ts'
export { inviteMember, revokeInvitation } from './commands.ts'
export { invitationListing } from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    Invitation: 'inv'
  }
}

export const invitation = defineConcept({
  name: 'invitation',
  idPrefixes: { Invitation: 'inv' },
  nodes: [invitationListing],
  commands: [inviteMember, revokeInvitation, acceptInvitation],
  queries: [listInvitations, countInvitations],
  events: [memberInvited],
  errors: [invitationErrors],
  reactions,
  extensions: [
    signUpInvitations.with({ emits: [memberJoined], accept }),
    organizationContents.with(rowsOfAccess('invitations', ['invitation_project', 'invitation'])),
  ],
  constraints: stamped('invitation'),
})
