import { z } from 'zod'
import type { InvitationView } from '../../domain/access/invitation/index.ts'
import type { PartialLogin, SignedIn } from '../../domain/access/session/index.ts'
import type { Named } from '../core/index.ts'

const person = {
  id: z.uuid().describe('ID of the user.'),
  email: z.string().describe('Email address of the user.'),
  name: z.string().describe('Name of the user.'),
}

export const signedInBody = z
  .object({
    ...person,
    user: z.object(person),
    accessToken: z.string().describe('Access token, a JWT.'),
    refreshToken: z.string().describe('Refresh token. It can be used once, and is replaced by each refresh.'),
    tokenType: z.literal('Bearer'),
    expiresIn: z.int().describe('Lifetime of the access token in seconds.'),
  })
  .describe('The user is signed in.')

export const partialLoginBody = z
  .object({
    requiresTOTP: z.literal(true),
    partialToken: z.string().describe('Token for `POST /login/2fa`, valid for 5 minutes.'),
  })
  .describe('The password is right, and a code is required in addition.')

export const loginBody = z
  .union([signedInBody, partialLoginBody])
  .describe('The user is signed in, or a code is required in addition to the password.')

export const passkeyOptionsBody = z
  .object({
    challenge: z.string().describe('What the authenticator signs, in base64url.'),
    rpId: z.string().describe('Host name that the passkeys belong to.'),
    timeout: z.int().describe('Time that the person has, in milliseconds.'),
    userVerification: z.literal('required'),
    allowCredentials: z.array(z.never()).describe('Always empty: any passkey of this server can be used.'),
  })
  .describe('Options for `navigator.credentials.get`, as JSON (`PublicKeyCredentialRequestOptionsJSON`).')

export const invitationBody = z
  .object({
    organizationName: z.string().describe('Name of the organization that invited.'),
    email: z.string().describe('Email address that was invited.'),
    roleName: z.string().describe('Name of the role that the member will have.'),
    expiresAt: z.string().describe('Time until which the invitation can be accepted, as ISO 8601 in UTC.'),
  })
  .describe('A pending invitation.')

export const messageBody = z.object({ message: z.string() }).describe('What was done.')

export const signedUpBody = z
  .union([signedInBody, messageBody])
  .describe('The user is signed in, or a link was mailed with which the account is created.')

export const errorBody = {
  id: 'Error',
  schema: z
    .object({
      error: z.object({
        code: z.string().describe('Machine-readable category of the error.'),
        message: z.string(),
        details: z.object({
          reason: z.string().describe('Code of the error.'),
          field: z.string().optional().describe('Field of the body that is not valid.'),
          retryAfterSeconds: z.int().optional().describe('Time after which a request can succeed.'),
        }),
      }),
      detail: z.string().describe('The message again.'),
    })
    .describe('An error.'),
} satisfies Named

export const schemas: readonly Named[] = [
  { id: 'SignedIn', schema: signedInBody },
  { id: 'CodeRequired', schema: partialLoginBody },
  { id: 'Login', schema: loginBody },
  { id: 'PasskeyOptions', schema: passkeyOptionsBody },
  { id: 'Invitation', schema: invitationBody },
  { id: 'SignUp', schema: signedUpBody },
  { id: 'Message', schema: messageBody },
]

export function signedIn({ user, accessToken, refreshToken, expiresIn }: SignedIn): z.output<typeof signedInBody> {
  const { id, email, name } = user
  return { id, email, name, user: { id, email, name }, accessToken, refreshToken, tokenType: 'Bearer', expiresIn }
}

export const loggedIn = (result: SignedIn | PartialLogin): z.output<typeof loginBody> =>
  'partialToken' in result ? { requiresTOTP: true, partialToken: result.partialToken } : signedIn(result)

export const invitationOf = ({ organizationName, email, roleName, expiresAt }: InvitationView): z.output<typeof invitationBody> => ({
  organizationName,
  email,
  roleName,
  expiresAt: expiresAt.toISOString(),
})

export const signedUp = (result: SignedIn | null): z.output<typeof signedUpBody> =>
  result ? signedIn(result) : { message: 'A mail is on its way to this address. Open its link to continue.' }
