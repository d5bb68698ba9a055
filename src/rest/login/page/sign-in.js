/** The views of people who aren't signed in: sign in and second factor. */
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
