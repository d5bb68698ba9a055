import { z } from 'zod'
import { lookUpInvitation } from '../../domain/access/invitation/index.ts'
import { beginPasskeyLogin, loginWithPasskey, passkeyResponse } from '../../domain/access/passkey/index.ts'
import {
  callerOfToken,
  confirmSignUp,
  confirmSignUpInput,
  endSession,
  endSessionOf,
  login,
  loginInput,
  loginWithSecondFactor,
  refreshSession,
  requestReset,
  resetInput,
  resetPassword,
  resetRequestInput,
  secondFactorInput,
  sessionErrors,
  signUp,
  signUpInput,
} from '../../domain/access/session/index.ts'
import { credentialOfHeaders } from '../../platform/credential.ts'
import { demandNoForeignPage } from '../../platform/own-origin.ts'
import { openRow, type Route, type Visit } from '../core/index.ts'
import {
  invitationBody,
  invitationOf,
  loggedIn,
  loginBody,
  messageBody,
  passkeyOptionsBody,
  signedIn,
  signedInBody,
  signedUp,
  signedUpBody,
} from './bodies.ts'
import { refreshTokenOf, signedInCookies, signedOutCookies } from './cookies.ts'

const tag = 'Sign-in'

/** Runs an act that sets cookies, which a page of another site must not cause. */
const fromOwnPage =
  <Input, Result>(act: (visit: Visit, input: Input) => Promise<Result>) =>
  (visit: Visit, input: Input): Promise<Result> => {
    demandNoForeignPage(visit.app, visit.raw)
    return act(visit, input)
  }

const refreshInput = z.object({ refreshToken: z.string().max(1_000).nullish() })

export const routes: Route[] = [
  openRow({
    id: 'signUp',
    name: 'signUp',
    method: 'POST',
    path: '/signup',
    tag,
    summary: 'Create an account',
    description:
      'With the token of an invitation, the account is created and the user is signed in. Without one, if the setting `SIGN_UP` is `open`, a link is mailed to the address: the account, and an organization that it owns, are created by `POST /signup/confirm`. The answer does not tell whether the address has an account.',
    body: { name: 'name', email: 'email', password: 'password', invitationToken: 'invitationToken' },
    input: signUpInput,
    act: fromOwnPage(({ app, requestId }, input) => signUp(app, input, requestId)),
    headers: (result, visit) => (result ? signedInCookies(result, visit) : {}),
    status: 201,
    schema: signedUpBody,
    reply: signedUp,
  }),
  openRow({
    id: 'confirmSignUp',
    name: 'confirmSignUp',
    method: 'POST',
    path: '/signup/confirm',
    tag,
    summary: 'Confirm the address of a new account',
    description:
      'Creates the account with the token of the link, which works once, within 24 hours, and the password that was chosen at sign-up, and signs the user in.',
    body: { token: 'token', password: 'password' },
    input: confirmSignUpInput,
    act: fromOwnPage(({ app, requestId }, input) => confirmSignUp(app, input, requestId)),
    headers: signedInCookies,
    status: 201,
    schema: signedInBody,
    reply: signedIn,
  }),
  openRow({
    id: 'login',
    name: 'login',
    method: 'POST',
    path: '/login',
    tag,
    summary: 'Sign in with a password',
    description:
      'If the user has set up a second factor, the answer contains a `partialToken` for `POST /login/2fa`. After 10 failed attempts, further ones are refused for a time that doubles with each failure.',
    body: { email: 'email', password: 'password' },
    input: loginInput,
    act: fromOwnPage(({ app, requestId }, input) => login(app, input, requestId)),
    headers: (result, visit) => ('partialToken' in result ? {} : signedInCookies(result, visit)),
    status: 200,
    schema: loginBody,
    reply: loggedIn,
  }),
  openRow({
    id: 'loginWithSecondFactor',
    name: 'loginWithSecondFactor',
    method: 'POST',
    path: '/login/2fa',
    tag,
    summary: 'Complete a login with a code',
    body: { partialToken: 'partialToken', code: 'code' },
    input: secondFactorInput,
    act: fromOwnPage(({ app, requestId }, input) => loginWithSecondFactor(app, input, requestId)),
    headers: signedInCookies,
    status: 200,
    schema: signedInBody,
    reply: signedIn,
  }),
  openRow({
    id: 'beginPasskeyLogin',
    name: 'beginPasskeyLogin',
    method: 'POST',
    path: '/passkey/begin',
    tag,
    summary: 'Begin a login with a passkey',
    description:
      'Returns the options for `navigator.credentials.get`, which are valid for 5 minutes. The browser offers all passkeys of this server.',
    input: z.object({}),
    act: ({ app }) => beginPasskeyLogin(app),
    status: 200,
    schema: passkeyOptionsBody,
    reply: (options) => options,
  }),
  openRow({
    id: 'loginWithPasskey',
    name: 'loginWithPasskey',
    method: 'POST',
    path: '/passkey/finish',
    tag,
    summary: 'Complete a login with a passkey',
    description: 'Takes what the browser returned, as JSON (`PublicKeyCredential.toJSON()`). No second factor is needed.',
    body: { id: 'id', rawId: 'rawId', type: 'type', response: 'response', clientExtensionResults: 'clientExtensionResults' },
    input: passkeyResponse,
    act: fromOwnPage(({ app, requestId }, input) => loginWithPasskey(app, input, requestId)),
    headers: signedInCookies,
    status: 200,
    schema: signedInBody,
    reply: signedIn,
  }),
  openRow({
    id: 'refresh',
    name: 'refresh',
    method: 'POST',
    path: '/refresh',
    tag,
    summary: 'Get new tokens',
    description:
      'Exchanges a refresh token, from the body or the cookie, for new tokens. A refresh token can be used once: if one that was replaced is used again, the session ends, because the token may have been stolen. Requests that use the same token within 10 seconds get the same new refresh token.',
    body: { refreshToken: 'refreshToken' },
    input: refreshInput,
    act: fromOwnPage((visit, { refreshToken }) => {
      const text = refreshToken ?? refreshTokenOf(visit)
      if (!text) throw sessionErrors.refresh_failed()
      return refreshSession(visit.app, text)
    }),
    headers: signedInCookies,
    status: 200,
    schema: signedInBody,
    reply: signedIn,
  }),
  openRow({
    id: 'logout',
    name: 'logout',
    method: 'POST',
    path: '/logout',
    tag,
    summary: 'Sign out',
    description: 'Ends the session of the access token and of the refresh token that the request contains. Their tokens stop working.',
    body: { refreshToken: 'refreshToken' },
    input: refreshInput,
    act: fromOwnPage(async (visit, { refreshToken }) => {
      const credential = credentialOfHeaders(visit.raw.headers)
      const caller = credential && (await callerOfToken(visit.app, { ...credential, organization: null }))
      if (caller?.sessionId) await endSession(visit.app, caller.sessionId)
      const text = refreshToken ?? refreshTokenOf(visit)
      if (text) await endSessionOf(visit.app, text)
      return visit
    }),
    headers: signedOutCookies,
    status: 200,
    schema: messageBody,
    reply: () => ({ message: 'Signed out.' }),
  }),
  openRow({
    id: 'forgotPassword',
    name: 'forgotPassword',
    method: 'POST',
    path: '/forgot-password',
    tag,
    summary: 'Request a new password',
    description:
      'If the address has an account, a link is mailed to it that can be used once, within 30 minutes. The answer does not tell.',
    body: { email: 'email' },
    input: resetRequestInput,
    act: ({ app }, input) => requestReset(app, input),
    status: 200,
    schema: messageBody,
    reply: () => ({ message: 'If this address has an account, a mail with a link is on its way.' }),
  }),
  openRow({
    id: 'resetPassword',
    name: 'resetPassword',
    method: 'POST',
    path: '/reset-password',
    tag,
    summary: 'Set a new password',
    description: 'Sets a new password with the token of the link. All sessions of the user end.',
    body: { token: 'token', password: 'password' },
    input: resetInput,
    act: ({ app, requestId }, input) => resetPassword(app, input, requestId),
    status: 200,
    schema: messageBody,
    reply: () => ({ message: 'The password was changed. Sign in with it.' }),
  }),
  openRow({
    id: 'lookUpInvitation',
    name: 'lookUpInvitation',
    method: 'POST',
    path: '/invitation',
    tag,
    summary: 'Get an invitation',
    description: 'Returns the invitation whose link contains the token. To accept it, use `acceptInvitation` in GraphQL.',
    body: { token: 'token' },
    input: z.object({ token: z.string().max(200) }),
    act: ({ app }, { token }) => lookUpInvitation(app, token),
    status: 200,
    schema: invitationBody,
    reply: invitationOf,
  }),
]
