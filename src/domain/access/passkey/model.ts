import { z } from 'zod'
import type { Passkey } from '../../../generated/prisma/client.ts'
import { outageOf } from '../../../platform/db/index.ts'

/** A passkey without what it is verified with. */
export type PasskeyRow = Omit<Passkey, 'credentialId' | 'publicKey' | 'counter'>

export const shownPasskey = ({ credentialId, publicKey, counter, ...passkey }: Passkey): PasskeyRow => passkey

/** Maximum number of passkeys of a user. */
export const maxPasskeys = 50

/** EdDSA, ES256 and RS256, as registered for COSE. */
export const algorithms = [-8, -7, -257]

const text = (max: number) => z.string().min(1).max(max)
const common = { id: text(2_000), rawId: text(2_000), type: z.literal('public-key'), clientExtensionResults: z.object({}).default({}) }

/** What a browser returns for a new passkey (`PublicKeyCredential.toJSON()`). */
export const registrationResponse = z.object({
  ...common,
  response: z.object({
    clientDataJSON: text(10_000),
    attestationObject: text(100_000),
    transports: z.array(z.string().max(32)).max(10).default([]),
  }),
})

/** What a browser returns for a login. */
export const loginResponse = z.object({
  ...common,
  response: z.object({
    clientDataJSON: text(10_000),
    authenticatorData: text(10_000),
    signature: text(10_000),
    userHandle: z.string().max(200).nullish(),
  }),
})

export type LoginResponse = z.infer<typeof loginResponse>
export type RegistrationResponse = z.infer<typeof registrationResponse>

/** Loaded when it is first used: few requests need it. */
export const webauthn = () => import('@simplewebauthn/server')

/** What a check returns. Whatever the library throws is a refusal, except that the database is unavailable. */
export async function checked<Checked>(check: () => Promise<Checked>, refuse: (cause?: unknown) => Error): Promise<Checked> {
  try {
    return await check()
  } catch (cause) {
    throw outageOf(cause) ? cause : refuse(cause)
  }
}

/** Throws for a response from a frame in a page of another site, which the library does not always refuse. */
export async function refuseFrames({ response }: Pick<LoginResponse | RegistrationResponse, 'response'>): Promise<void> {
  const { decodeClientDataJSON } = await import('@simplewebauthn/server/helpers')
  if (decodeClientDataJSON(response.clientDataJSON).crossOrigin) throw new Error('response from a frame of another site')
}

/** What authenticators store as the user: the id, which says nothing about the person. */
export const userHandle = (userId: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(userId.replaceAll('-', ''), 'hex'))
