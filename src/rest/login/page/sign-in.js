/** The views of people who aren't signed in: sign in, second factor, forgotten and new password. */
import { auth } from './api.js'
import { onSubmit, show } from './view.js'

/** Shows the form. `signedIn` is called when the session exists. @param {() => Promise<void>} signedIn */
export function showSignIn(signedIn) {
  onSubmit(show('sign-in'), async ({ email, password }) => {
    const answer = await auth('login', { email, password })
    if (answer.requiresTOTP) showSecondFactor(answer.partialToken, signedIn)
    else await signedIn()
  })
}

/** @param {string} partialToken @param {() => Promise<void>} signedIn */
function showSecondFactor(partialToken, signedIn) {
  onSubmit(show('second-factor'), async ({ code }) => {
    await auth('login/2fa', { partialToken, code: code.replace(/\s/g, '') })
    await signedIn()
  })
}

export function showForgot() {
  onSubmit(show('forgot'), async ({ email }) => {
    await auth('forgot-password', { email })
    const text = `If an account has the address ${email}, a mail with a link is on its way. The link is valid for 30 minutes.`
    show('message', { title: 'Check your mail', text })
  })
}

/** @param {string} token */
export function showReset(token) {
  onSubmit(show('reset'), async ({ password }) => {
    await auth('reset-password', { token, password })
    forgetToken()
    show('message', { title: 'Your password is changed', text: 'Sign in with your new password.' })
  })
}

/** Removes a token that was used from the address. */
const forgetToken = () => history.replaceState(null, '', location.pathname + location.search)
