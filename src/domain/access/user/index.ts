/** Users: the members of an organization. */
import { defineConcept } from '../../../platform/concept.ts'
import { stampedByVersion } from '../../../platform/db/constraints.ts'
import { updateViewer } from './commands.ts'
import { userErrors } from './errors.ts'
import { currentUser, userListing } from './queries.ts'

export {
  type Account,
  accountById,
  accountOf,
  createAccount,
  lockAccount,
  markVerified,
  noteLogin,
  renewPasswordHash,
  setDeactivated,
  setPasswordHash,
  unchangedAccount,
} from './account.ts'
export { demandOtherAdministrator, setAdministrator } from './administrator.ts'
export { updateViewer } from './commands.ts'
export { userErrors } from './errors.ts'
export { tellUser } from './notice.ts'
export { demandAcceptable, hashPassword, passwordSchema, verifyPassword } from './password.ts'
export { type CurrentUser, currentUser, ownerAddresses, userListing } from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    User: 'usr'
  }
}

export const user = defineConcept({
  name: 'user',
  idPrefixes: { User: 'usr' },
  nodes: [userListing],
  commands: [updateViewer],
  queries: [currentUser],
  errors: [userErrors],
  constraints: [stampedByVersion('user_account')],
})
