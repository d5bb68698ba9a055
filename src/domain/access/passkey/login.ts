/** Signing in with a passkey. The authenticator has verified the person, so neither a password nor a second factor is needed. */
import type { Passkey, User } from '../../../generated/prisma/client.ts'
import { row, run, sql } from '../../../platform/db/index.ts'
import { DomainError } from '../../../platform/errors.ts'
import { type App, transact, type Work } from '../../../platform/work.ts'
import { personOf, recordFailure, type SignedIn, startSession } from '../session/index.ts'
import { challengeMs, newChallenge, useChallenge } from './challenge.ts'
import { passkeyErrors } from './errors.ts'
import { checked, type LoginResponse, refuseFrames, userHandle, webauthn } from './model.ts'
import { relyingParty } from './relying-party.ts'

/** The options with which a browser asks for any passkey of this site, as JSON of WebAuthn. They don't depend on who wants to sign in. */
export type LoginOptions = { challenge: string; rpId: string; timeout: number; userVerification: 'required'; allowCredentials: [] }

export async function beginPasskeyLogin(app: App): Promise<LoginOptions> {
  const { id: rpId } = relyingParty(app)
  return {
    challenge: await newChallenge(app, { login: true }),
    rpId,
    timeout: challengeMs,
    userVerification: 'required',
    allowCredentials: [],
  }
}

type Found = Passkey & Pick<User, 'email'> & { userName: string }

/** Throws `passkey_failed`, whatever the reason is. */
export async function loginWithPasskey(app: App, response: LoginResponse, requestId: string): Promise<SignedIn> {
  const passkey = await findPasskey(app, response)
  if (!passkey) throw passkeyErrors.passkey_failed()
  const user = { id: passkey.userId, email: passkey.email, name: passkey.userName }
  try {
    return await transact(app, personOf(user, null), { requestId }, async (work) => {
      await verifyLogin(work, passkey.id, response)
      return startSession(work, user, 'passkey')
    })
  } catch (error) {
    if (error instanceof DomainError && error.code === 'passkey_failed')
      await recordFailure(app, user, { failures: 1, lockedUntil: null }, { action: 'login', reason: 'passkey not accepted' }, requestId)
    throw error
  }
}

const findPasskey = (app: App, { id }: LoginResponse): Promise<Found | null> =>
  row(
    app.db,
    sql`select p.*, u.email, u.name as user_name from passkey p join user_account u on u.id = p.user_id
        where p.credential_id = ${Buffer.from(id, 'base64url')}`,
  )

/** Notes the use. Of parallel requests with one response, one succeeds. Throws `passkey_failed`. */
async function verifyLogin({ app, tx }: Work, passkeyId: string, response: LoginResponse): Promise<void> {
  const { id: expectedRPID, origin: expectedOrigin } = relyingParty(app)
  const { verifyAuthenticationResponse } = await webauthn()
  const passkey = await row<Passkey>(tx, sql`select * from passkey where id = ${passkeyId}::uuid for update`)
  if (!passkey) throw passkeyErrors.passkey_failed()
  const handle = response.response.userHandle
  if (handle && !Buffer.from(handle, 'base64url').equals(userHandle(passkey.userId))) throw passkeyErrors.passkey_failed()
  const { id, publicKey, counter } = { ...passkey, id: Buffer.from(passkey.credentialId).toString('base64url') }
  const { newCounter, credentialBackedUp } = await checked(
    async () => {
      await refuseFrames(response)
      const { verified, authenticationInfo } = await verifyAuthenticationResponse({
        response: response as Parameters<typeof verifyAuthenticationResponse>[0]['response'],
        expectedChallenge: (challenge) => useChallenge(app, tx, challenge, { login: true }),
        expectedOrigin,
        expectedRPID,
        credential: { id, publicKey: new Uint8Array(publicKey), counter: Number(counter) },
        requireUserVerification: true,
      })
      if (!verified) throw new Error('wrong signature')
      return authenticationInfo
    },
    (cause) => passkeyErrors.passkey_failed({ cause }),
  )
  await run(
    tx,
    sql`update passkey set counter = ${newCounter}, backed_up = ${credentialBackedUp}, last_used_at = app_now() where id = ${passkeyId}::uuid`,
  )
}
