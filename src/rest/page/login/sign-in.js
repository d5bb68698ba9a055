/** The views of people who aren't signed in: sign in, second factor, sign-up, forgotten and new password. */
import { auth } from '../shared/api.js'
import { attempt, onClick, one, onSubmit } from '../shared/view.js'
import { choosePasskey, passkeysAreSuggested, passkeysAreSupported } from './passkey.js'
import { show } from './view.js'

/** Shows the form. `signedIn` is called when the session exists. @param {() => Promise<void>} signedIn */
export function showSignIn(signedIn) {
  const form = show('sign-in')
  if (!signUpIsOpen()) one(form, '[data-sign-up-only]').remove()
  offerPasskeys(form, signedIn)
  onSubmit(form, async ({ email, password }) => {
    const answer = await auth('login', { email, password })
    if (answer.requiresTOTP) showSecondFactor(answer.partialToken, signedIn)
    else await signedIn()
  })
}

/**
 * Offers passkeys by a button, and in the list of saved sign-ins where the browser can.
 * @param {HTMLElement} form @param {() => Promise<void>} signedIn
 */
export function offerPasskeys(form, signedIn) {
  if (!passkeysAreSupported()) return
  const button = one(form, '[data-action="passkey"]')
  button.hidden = false
  /** @param {Awaited<ReturnType<typeof choosePasskey>>} finish */
  const proceed = async (finish) => {
    if (!finish) return
    await finish()
    await signedIn()
  }
  onClick(button, async () => proceed(await choosePasskey()))
  const suggest = async () => {
    if (!(await passkeysAreSuggested())) return
    const finish = await choosePasskey({ suggest: true })
    if (finish) await attempt(form, () => proceed(finish))
  }
  // Nobody asked for the suggestion, so that its failure concerns no one.
  suggest().catch((error) => console.warn(error))
}

/** @param {string} partialToken @param {() => Promise<void>} signedIn */
export function showSecondFactor(partialToken, signedIn) {
  onSubmit(show('second-factor'), async ({ code }) => {
    await auth('login/2fa', { partialToken, code: code.replace(/\s/g, '') })
    await signedIn()
  })
}

export const signUpIsOpen = () => document.body.dataset.signUp === 'open'

export function showSignUp() {
  onSubmit(show('sign-up'), async ({ name, email, password }) => {
    await auth('signup', { name, email, password })
    const text = `A mail with a link is on its way to ${email}. Open it to create the account. The link is valid for 24 hours.`
    show('message', { title: 'Check your mail', text })
  })
}

/** Creates the account that was requested, when the person has its link. @param {string} token @param {() => Promise<void>} signedIn */
export function showConfirm(token, signedIn) {
  onSubmit(show('confirm'), async ({ password }) => {
    await auth('signup/confirm', { token, password })
    forgetToken()
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
export const forgetToken = () => history.replaceState(null, '', location.pathname + location.search)
