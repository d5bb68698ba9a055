import { z } from 'zod'
import type { Passkey } from '../../../generated/prisma/client.ts'
import { defineCommand, demandPerson } from '../../../platform/command.ts'
import { newRow, row, rows, run, sql } from '../../../platform/db/index.ts'
import { newId } from '../../../platform/id.ts'
import { nameSchema } from '../../../platform/name.ts'
import type { Work } from '../../../platform/work.ts'
import { demandRecentLogin } from '../session/index.ts'
import { type Account, lockAccount, tellUser } from '../user/index.ts'
import { challengeMs, newChallenge, useChallenge } from './challenge.ts'
import { passkeyErrors } from './errors.ts'
import {
  algorithms,
  checked,
  maxPasskeys,
  type PasskeyRow,
  type RegistrationResponse,
  refuseFrames,
  registrationResponse,
  shownPasskey,
  userHandle,
  webauthn,
} from './model.ts'
import { relyingParty } from './relying-party.ts'

/** Locks the account, so that changes of it happen one after the other. */
const target = (work: Work) => lockAccount(work.tx, demandPerson(work.caller))

export const beginPasskeyRegistration = defineCommand({
  name: 'beginPasskeyRegistration',
  description:
    'Returns the options with which a browser creates a passkey for the user who is signed in. They are valid for five minutes. Fails with `login_not_recent` unless the user signed in within the last 10 minutes. Call `finishPasskeyRegistration` with what the browser returns.',
  permission: null,
  ids: {},
  targetType: 'User',
  target,
  input: z.object({}),
  emits: [],
  once: ['options'],
  async run(work, _input, { id, email, name }: Account) {
    const { app, tx } = work
    await demandRecentLogin(work)
    const { id: rpID } = relyingParty(app)
    const { generateRegistrationOptions } = await webauthn()
    const existing = await rows<Pick<Passkey, 'credentialId' | 'transports'>>(
      tx,
      sql`select credential_id, transports from passkey where user_id = ${id}::uuid order by id`,
    )
    const options = await generateRegistrationOptions({
      rpName: 'Quayside',
      rpID,
      userID: userHandle(id),
      userName: email,
      userDisplayName: name,
      challenge: new Uint8Array(Buffer.from(await newChallenge(app, { registrationOf: id }), 'base64url')),
      timeout: challengeMs,
      attestationType: 'none',
      excludeCredentials: existing.map(({ credentialId, transports }) => ({
        id: Buffer.from(credentialId).toString('base64url'),
        transports,
      })),
      authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
      supportedAlgorithmIDs: algorithms,
    })
    return { options: options as object | null }
  },
})

export const finishPasskeyRegistration = defineCommand({
  name: 'finishPasskeyRegistration',
  description:
    'Registers a passkey for the user who is signed in, with what the browser returned. A passkey replaces the password and the second factor. Fails with `passkey_refused` if the response is not valid or took too long, and with `passkey_taken` if the passkey is registered already.',
  permission: null,
  ids: {},
  targetType: 'User',
  creates: 'Passkey',
  target,
  input: z.object({ name: nameSchema, response: registrationResponse }),
  emits: [],
  async run(work, { name, response }, account: Account) {
    const { tx } = work
    const userId = account.id
    await demandRecentLogin(work)
    const { count } = (await row<{ count: number }>(tx, sql`select count(*)::int as count from passkey where user_id = ${userId}::uuid`))!
    if (count >= maxPasskeys) throw passkeyErrors.too_many_passkeys({ details: { limit: maxPasskeys } })
    const { credential, credentialBackedUp } = await verifyRegistration(work, userId, response)
    const added = newRow({
      id: newId(),
      userId,
      name,
      credentialId: new Uint8Array(Buffer.from(credential.id, 'base64url')),
      publicKey: credential.publicKey,
      counter: credential.counter,
      transports: response.response.transports,
      backedUp: credentialBackedUp,
    })
    const passkey = await row<Passkey>(tx, sql`insert into passkey ${added} on conflict (credential_id) do nothing returning *`)
    if (!passkey) throw passkeyErrors.passkey_taken()
    await tellUser(work, account, `the passkey ${JSON.stringify(name)} was added to your account, which signs in without your password.`)
    return { passkey: shownPasskey(passkey) }
  },
})

/** Throws `passkey_refused`. */
async function verifyRegistration({ app, tx }: Work, userId: string, response: RegistrationResponse) {
  const { id: expectedRPID, origin: expectedOrigin } = relyingParty(app)
  const { verifyRegistrationResponse } = await webauthn()
  return checked(
    async () => {
      await refuseFrames(response)
      await refuseCertificates(response)
      const { registrationInfo } = await verifyRegistrationResponse({
        response: response as Parameters<typeof verifyRegistrationResponse>[0]['response'],
        expectedChallenge: (challenge) => useChallenge(app, tx, challenge, { registrationOf: userId }),
        expectedOrigin,
        expectedRPID,
        requireUserVerification: true,
        supportedAlgorithmIDs: algorithms,
      })
      if (!registrationInfo) throw new Error('wrong attestation')
      return registrationInfo
    },
    (cause) => passkeyErrors.passkey_refused({ field: 'response', cause }),
  )
}

/**
 * Browsers send no certificates of the authenticator's maker, because none are requested. The library would fetch lists of revoked
 * certificates from whatever address is in them.
 */
async function refuseCertificates({ response }: RegistrationResponse): Promise<void> {
  const { decodeAttestationObject } = await import('@simplewebauthn/server/helpers')
  const decoded = decodeAttestationObject(new Uint8Array(Buffer.from(response.attestationObject, 'base64url')))
  const format = decoded.get('fmt')
  if (format !== 'none' && (format !== 'packed' || decoded.get('attStmt').get('x5c'))) throw new Error(`attestation of format ${format}`)
}

export const deletePasskey = defineCommand({
  name: 'deletePasskey',
  description: 'Deletes a passkey of the user who is signed in. It can no longer be used to sign in. Sessions that began with it continue.',
  permission: null,
  ids: { id: 'Passkey' },
  targetType: 'Passkey',
  async target(work, { id }) {
    const userId = demandPerson(work.caller)
    const passkey = await row<Passkey>(work.tx, sql`select * from passkey where id = ${id}::uuid and user_id = ${userId}::uuid for update`)
    return passkey && shownPasskey(passkey)
  },
  input: z.object({}),
  emits: [],
  async run(work, _input, passkey: PasskeyRow) {
    await run(work.tx, sql`delete from passkey where id = ${passkey.id}::uuid`)
    return { deletedId: passkey.id }
  },
})
