/**
 * Passkeys, by the browser's WebAuthn. Browsers offer it over TLS and on localhost only, and for names of hosts, not for IP addresses. Those
 * without its JSON forms count as without it.
 */
import { auth, graphql, Problem } from '../shared/api.js'

export const passkeysAreSupported = () =>
  !/^[\d.]+$|^\[/.test(location.hostname) &&
  typeof PublicKeyCredential !== 'undefined' &&
  typeof PublicKeyCredential.parseCreationOptionsFromJSON === 'function'

/** Whether the browser can offer passkeys in the list of saved sign-ins of an input. */
export const passkeysAreSuggested = async () => passkeysAreSupported() && (await PublicKeyCredential.isConditionalMediationAvailable())

/** Ends a request for a passkey when another one starts: a browser runs one at a time. @type {AbortController | undefined} */
let running

/**
 * Lets the person choose a passkey, and returns the function that signs in with it; null if the person chooses none.
 * @param {{ suggest?: boolean }} [how] `suggest`: waits until the person selects one in the list of an input
 */
export async function choosePasskey({ suggest = false } = {}) {
  const options = await auth('passkey/begin')
  const credential = await ask((signal) =>
    navigator.credentials.get({
      publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options),
      mediation: suggest ? 'conditional' : undefined,
      signal,
    }),
  )
  return credential && (() => auth('passkey/finish', credential.toJSON()))
}

/** Adds a passkey to the account. Returns false if the person cancels. @param {string} name */
export async function createPasskey(name) {
  const { beginPasskeyRegistration } = await graphql('mutation { beginPasskeyRegistration(input: {}) { options } }')
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(beginPasskeyRegistration.options)
  const credential = await ask((signal) => navigator.credentials.create({ publicKey, signal }))
  if (!credential) return false
  await graphql('mutation ($input: FinishPasskeyRegistrationInput!) { finishPasskeyRegistration(input: $input) { passkey { id } } }', {
    input: { name, response: credential.toJSON() },
  })
  return true
}

/**
 * Null if the person cancels, lets the time run out, or another request takes over.
 * @param {(signal: AbortSignal) => Promise<Credential | null>} request @returns {Promise<PublicKeyCredential | null>}
 */
async function ask(request) {
  running?.abort()
  running = new AbortController()
  try {
    return /** @type {PublicKeyCredential | null} */ (await request(running.signal))
  } catch (error) {
    const { name } = /** @type {Error} */ (error)
    if (name === 'NotAllowedError' || name === 'AbortError') return null
    if (name === 'InvalidStateError') throw new Problem('This device already has a passkey for your account.')
    throw new Problem(`The browser could not use a passkey: ${/** @type {Error} */ (error).message}`)
  }
}
