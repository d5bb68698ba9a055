/** The view of an invitation: a person without an account sets a name and a password, others sign in or accept it at once. */
import { auth, graphql, switchOrganization } from './api.js'
import { forgetToken, offerPasskeys, showSecondFactor } from './sign-in.js'
import { inputOf, one, onSubmit, show } from './view.js'

/** @typedef {{ organizationName: string, roleName: string, email: string, hasAccount: boolean }} Invitation */

/**
 * Shows the form. `signedIn` is called when the person is a member.
 * @param {string} token @param {import('./main.js').User | null} user @param {() => Promise<void>} signedIn
 */
export async function showInvitation(token, user, signedIn) {
  /** @type {Invitation} */
  const { organizationName, roleName, email, hasAccount } = await auth('invitation', { token })
  const joined = () => {
    forgetToken()
    return signedIn()
  }
  const accept = async () => {
    const { acceptInvitation } = await graphql(
      'mutation ($token: String!) { acceptInvitation(input: { token: $token }) { organization { id } } }',
      { token },
    )
    await switchOrganization(acceptInvitation.organization.id)
    await joined()
  }
  /** @type {Record<string, { button: string, act: (values: Record<string, any>) => Promise<unknown> }>} */
  const parts = {
    accept: { button: 'Join', act: accept },
    other: {
      button: 'Sign out',
      act: async () => {
        await auth('logout')
        await showInvitation(token, null, signedIn)
      },
    },
    'sign-in': {
      button: 'Sign in and join',
      act: async ({ password }) => {
        const answer = await auth('login', { email, password })
        if (answer.requiresTOTP) showSecondFactor(answer.partialToken, accept)
        else await accept()
      },
    },
    'sign-up': {
      button: 'Create account and join',
      act: async ({ name, password }) => {
        await auth('signup', { name, email, password, invitationToken: token })
        await joined()
      },
    },
  }
  const part = user ? (user.email === email ? 'accept' : 'other') : hasAccount ? 'sign-in' : 'sign-up'
  const { button, act } = /** @type {NonNullable<typeof parts['']>} */ (parts[part])
  const form = show('invitation', { organizationName, roleName, email, current: user?.email ?? '' }, part)
  // Hidden, for password managers.
  if (part === 'sign-in' || part === 'sign-up') inputOf(form, 'email').defaultValue = email
  one(form, 'button').textContent = button
  onSubmit(form, act)
  if (part === 'sign-in') offerPasskeys(form, accept)
}
