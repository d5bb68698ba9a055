/** The page at /login: chooses the view by the location's hash and by whether there is a session. */

import { graphql, isSignedOut, Problem } from '../shared/api.js'
import { showAccount } from './account.js'
import { showInvitation } from './invitation.js'
import { returnAddress } from './return-address.js'
import { showConfirm, showForgot, showReset, showSignIn, showSignUp, signUpIsOpen } from './sign-in.js'
import { show } from './view.js'

/** @typedef {{ id: string, name: string, email: string }} User */

/** The user who is signed in, or null. @returns {Promise<User | null>} */
async function currentUser() {
  try {
    const { viewer } = await graphql('{ viewer { user { id name email } } }')
    return viewer.user
  } catch (error) {
    if (isSignedOut(error)) return null
    throw error
  }
}

/**
 * Shows the view that the location names. Without one, the form or, to people who are signed in, the page that they came from, otherwise
 * their account.
 */
async function choose() {
  const [name = '', token = ''] = location.hash.slice(1).split('=')
  if (name === 'forgot') return showForgot()
  if (name === 'reset' && token) return showReset(token)
  if (name === 'confirm' && token) return showConfirm(token, choose)
  if (name === 'sign-up' && signUpIsOpen()) return showSignUp()
  const user = await currentUser()
  if (name === 'invitation' && token) return showInvitation(token, user, choose)
  if (!user) return showSignIn(choose)
  const address = returnAddress(location.search, location.origin)
  if (address !== null) return location.replace(address)
  return showAccount(user)
}

async function start() {
  try {
    await choose()
  } catch (error) {
    if (!(error instanceof Problem)) console.error(error)
    const what = location.hash.startsWith('#invitation=') ? 'invitation' : 'page'
    show('message', { title: `The ${what} could not be opened`, text: /** @type {Error} */ (error).message })
  }
}

addEventListener('hashchange', start)
// A link to the view that the location names already.
addEventListener('click', ({ target }) => {
  const link = target instanceof Element && target.closest('a')
  if (link && link.hash !== '' && link.hash === location.hash) void start()
})
await start()
