/** The view of an invitation: a person without an account sets a name and a password, others sign in or accept it at once. */
import { auth, graphql, switchOrganization } from '../shared/api.js'
import { inputOf, onClick, one, onSubmit } from '../shared/view.js'
import { forgetToken, offerPasskeys, showSecondFactor } from './sign-in.js'
import { show } from './view.js'

/** @typedef {{ organizationName: string, roleName: string, email: string }} Invitation */

/**
 * Shows the form. `signedIn` is called when the person is a member.
 * @param {string} token @param {import('./main.js').User | null} user @param {() => Promise<void>} signedIn
 */
export async function showInvitation(token, user, signedIn) {
  /** @type {Invitation} */
  const { organizationName, roleName, email } = await auth('invitation', { token })
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
  /** @param {string} part */
  const draw = (part) => {
    const { button, act } = /** @type {NonNullable<typeof parts['']>} */ (parts[part])
    const form = show('invitation', { organizationName, roleName, email, current: user?.email ?? '' }, part)
    one(form, 'button').textContent = button
    onSubmit(form, act)
    if (part !== 'sign-in' && part !== 'sign-up') return
    // Hidden, for password managers.
    inputOf(form, 'email').defaultValue = email
    // The server does not tell whether the address has an account.
    const other = one(form, '[data-action="switch"]')
    other.hidden = false
    other.textContent = part === 'sign-up' ? 'I have an account' : 'Create an account'
    onClick(other, async () => draw(part === 'sign-up' ? 'sign-in' : 'sign-up'))
    if (part === 'sign-in') offerPasskeys(form, accept)
  }
  draw(user ? (user.email === email ? 'accept' : 'other') : 'sign-up')
}
