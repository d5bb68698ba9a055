import { defineErrors } from '../../../platform/errors.ts'

export const passkeyErrors = defineErrors({
  passkey_refused: {
    kind: 'unprocessable',
    text: 'The response of the browser is not valid, or took longer than five minutes. Begin again.',
  },
  passkey_failed: { kind: 'unauthenticated', text: 'The passkey was not accepted. Try again, or sign in with your password.' },
  passkey_taken: { kind: 'conflict', text: 'This passkey is already registered.' },
  too_many_passkeys: { kind: 'unprocessable', text: 'You have as many passkeys as are allowed. Delete one first.' },
  passkeys_unavailable: {
    kind: 'unprocessable',
    text: 'Passkeys need a host name, and the address of this server is an IP address. Set PUBLIC_URL to a URL with a host name.',
  },
})
