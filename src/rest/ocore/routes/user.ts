/** The account of the person who is signed in. Its rows are about no organization. */
import { z } from 'zod'
import { beginPasskeyRegistration, deletePasskey, finishPasskeyRegistration, pagePasskeys } from '../../../domain/access/passkey/index.ts'
import { changePassword, pageSessions, revokeSession } from '../../../domain/access/session/index.ts'
import { addSshKey, deleteSshKey, pageSshKeys } from '../../../domain/access/ssh-key/index.ts'
import { disableTotp, enableTotp, findProfile, setUpTotp } from '../../../domain/access/totp/index.ts'
import { updateViewer } from '../../../domain/access/user/index.ts'
import { errors } from '../../../platform/errors.ts'
import { commandRow, queryRow, type Route, type View } from '../../core/index.ts'
import { done } from '../field.ts'
import { defaultPageSize, pageOf } from '../page.ts'
import { creationOptionsBody, passkeyBody, userSchemas as schemas, sessionBody, sshKeyBody, userBody } from '../user-bodies.ts'

const ofAccount = { tag: 'User', people: true, withoutOrganization: true } as const
const recent = 'Requires a login within the last 10 minutes.'

async function currentBody({ ask }: View) {
  const profile = await ask(findProfile, {})
  if (!profile) throw errors.not_found()
  return userBody(profile)
}

const profileRoutes: Route[] = [
  queryRow({
    ...ofAccount,
    id: 'getUser',
    method: 'GET',
    path: '/user',
    summary: 'Retrieve your profile',
    read: findProfile,
    status: 200,
    schema: schemas.user,
    reply: userBody,
    version: ({ version }) => version,
  }),
  commandRow({
    ...ofAccount,
    id: 'updateUser',
    method: 'PATCH',
    path: '/user',
    summary: 'Update your profile',
    description: 'Omitted fields keep their value.',
    command: updateViewer,
    body: { name: 'name' },
    status: 200,
    schema: schemas.user,
    reply: (_result, view) => currentBody(view),
    version: ({ user }) => user.version,
  }),
  commandRow({
    ...ofAccount,
    id: 'changePassword',
    method: 'POST',
    path: '/user/change-password',
    summary: 'Change your password',
    description: 'All your other sessions end. A wrong current password answers 403. A password has 8 to 256 characters.',
    command: changePassword,
    body: { currentPassword: 'currentPassword', newPassword: 'newPassword' },
    ...done('Password changed'),
  }),
]

const totpRoutes: Route[] = [
  commandRow({
    ...ofAccount,
    id: 'setUpTotp',
    method: 'POST',
    path: '/user/totp/setup',
    summary: 'Create a secret for one-time passwords',
    description: `Nothing changes until one-time passwords are enabled. ${recent}`,
    command: setUpTotp,
    status: 200,
    schema: schemas.totpSetup,
    reply: ({ secret, otpauthUrl }) => ({ secret, otpauthUrl }),
  }),
  commandRow({
    ...ofAccount,
    id: 'enableTotp',
    method: 'POST',
    path: '/user/totp/enable',
    summary: 'Enable one-time passwords',
    description: `Takes a code of the authenticator app. ${recent}`,
    command: enableTotp,
    body: { code: 'code' },
    words: { setUpTotp: 'POST /user/totp/setup' },
    status: 200,
    schema: schemas.recoveryCodes,
    reply: ({ recoveryCodes }) => ({ recoveryCodes }),
  }),
  commandRow({
    ...ofAccount,
    id: 'disableTotp',
    method: 'POST',
    path: '/user/totp/disable',
    summary: 'Disable one-time passwords',
    description: 'Takes a one-time password or a recovery code, or the password instead. Deletes the recovery codes.',
    command: disableTotp,
    body: { code: 'code', password: 'password' },
    ...done('One-time passwords disabled'),
  }),
]

const sessionRoutes: Route[] = [
  queryRow({
    ...ofAccount,
    id: 'listSessions',
    method: 'GET',
    path: '/user/sessions',
    summary: 'List your sessions',
    read: pageSessions,
    page: { size: defaultPageSize },
    status: 200,
    schema: schemas.sessionList,
    reply: (page, { caller }) =>
      pageOf(
        page,
        page.rows.map((row) => sessionBody(row, caller.sessionId)),
      ),
  }),
  commandRow({
    ...ofAccount,
    id: 'revokeSession',
    method: 'DELETE',
    path: '/user/sessions/{sessionId}',
    summary: 'End a session',
    description: 'Its tokens stop working immediately.',
    command: revokeSession,
    params: { sessionId: 'id' },
    ...done('Session ended'),
  }),
]

const sshKeyRoutes: Route[] = [
  queryRow({
    ...ofAccount,
    id: 'listSshKeys',
    method: 'GET',
    path: '/user/ssh-keys',
    summary: 'List your SSH keys',
    read: pageSshKeys,
    page: { size: defaultPageSize },
    status: 200,
    schema: schemas.sshKeyList,
    reply: (page) => pageOf(page, page.rows.map(sshKeyBody)),
  }),
  commandRow({
    ...ofAccount,
    id: 'addSshKey',
    method: 'POST',
    path: '/user/ssh-keys',
    summary: 'Add an SSH key',
    description: 'To deploy services with a key, add it with its private key, or generate it, in GraphQL.',
    command: addSshKey,
    body: {
      label: 'label',
      publicKey: {
        to: 'publicKey',
        required: true,
        schema: z.string(),
        description: 'Public key in OpenSSH format: Ed25519, ECDSA, or RSA with at least 2048 bits.',
      },
    },
    status: 201,
    schema: schemas.sshKey,
    reply: ({ sshKey }) => sshKeyBody(sshKey),
  }),
  commandRow({
    ...ofAccount,
    id: 'deleteSshKey',
    method: 'DELETE',
    path: '/user/ssh-keys/{sshKeyId}',
    summary: 'Delete an SSH key',
    command: deleteSshKey,
    params: { sshKeyId: 'id' },
    ...done('SSH key deleted'),
  }),
]

const passkeyRoutes: Route[] = [
  queryRow({
    ...ofAccount,
    id: 'listPasskeys',
    method: 'GET',
    path: '/user/passkeys',
    summary: 'List your passkeys',
    read: pagePasskeys,
    page: { size: defaultPageSize },
    status: 200,
    schema: schemas.passkeyList,
    reply: (page) => pageOf(page, page.rows.map(passkeyBody)),
  }),
  commandRow({
    ...ofAccount,
    id: 'beginPasskeyRegistration',
    method: 'POST',
    path: '/user/passkeys/register/begin',
    summary: 'Begin to register a passkey',
    description: `Returns the options with which a browser creates the passkey, valid for 5 minutes. ${recent}`,
    command: beginPasskeyRegistration,
    status: 200,
    schema: schemas.creationOptions,
    reply: ({ options }) => creationOptionsBody(options),
  }),
  commandRow({
    ...ofAccount,
    id: 'finishPasskeyRegistration',
    method: 'POST',
    path: '/user/passkeys/register/finish',
    summary: 'Register a passkey',
    description: `Takes what the browser returned. A passkey replaces the password and the one-time password. ${recent}`,
    command: finishPasskeyRegistration,
    body: {
      deviceName: { to: 'name', required: true, schema: z.string(), description: 'Name of the passkey.' },
      response: { to: 'response', description: 'What the browser returned, as JSON (`RegistrationResponseJSON`).' },
    },
    status: 200,
    schema: schemas.passkey,
    reply: ({ passkey }) => passkeyBody(passkey),
  }),
  commandRow({
    ...ofAccount,
    id: 'deletePasskey',
    method: 'DELETE',
    path: '/user/passkeys/{passkeyId}',
    summary: 'Delete a passkey',
    description: 'Sessions that began with it continue.',
    command: deletePasskey,
    params: { passkeyId: 'id' },
    ...done('Passkey deleted'),
  }),
]

export const userRoutes: Route[] = [...profileRoutes, ...totpRoutes, ...sessionRoutes, ...sshKeyRoutes, ...passkeyRoutes]
