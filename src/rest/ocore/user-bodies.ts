/** Schemas of the bodies of the account of a person, and how rows become bodies. */
import { z } from 'zod'
import type { PasskeyRow } from '../../domain/access/passkey/index.ts'
import type { ShownSession } from '../../domain/access/session/index.ts'
import type { SshKeyRow } from '../../domain/access/ssh-key/index.ts'
import type { Profile } from '../../domain/access/totp/index.ts'
import type { Named } from '../core/index.ts'
import { id, time, timeOf, timeOrNull } from './field.ts'
import { listOf } from './page.ts'

const user = z
  .object({
    id,
    email: z.string(),
    name: z.string(),
    totpEnabled: z.boolean().describe('Whether a one-time password is needed to sign in.'),
    createdAt: time,
  })
  .describe('The user who is signed in.')

const once = 'Returned only once; null in a repeated response to the same idempotency key.'

const totpSetup = z
  .object({
    secret: z.string().nullable().describe(`Secret in base32, for authenticator apps. ${once}`),
    otpauthUrl: z.string().nullable().describe(`URL with the secret, to be shown as a QR code to authenticator apps. ${once}`),
  })
  .describe('A new secret for one-time passwords.')

const recoveryCodes = z
  .object({
    recoveryCodes: z
      .array(z.string())
      .length(8)
      .nullable()
      .describe(`Codes of which each can be used once in place of a one-time password. ${once}`),
  })
  .describe('One-time passwords are enabled.')

const session = z
  .object({
    id,
    ipAddress: z.string().nullable().describe('Client address when the session was last renewed.'),
    userAgent: z.string().nullable(),
    createdAt: time,
    lastUsedAt: time.describe('Time when the session was last renewed.'),
    current: z.boolean().describe('Whether the request was made with this session.'),
  })
  .describe('A device on which the user is signed in.')

const sshKey = z
  .object({
    id,
    label: z.string(),
    keyType: z.string().describe('Algorithm of the key, such as `ssh-ed25519`.'),
    fingerprint: z.string().describe('`SHA256:` and the hash of the public key in base64.'),
    createdAt: time,
    lastUsedAt: time.nullable().describe('Time when a deployment last used the key.'),
  })
  .describe('An SSH key of the user.')

const passkey = z
  .object({
    id,
    deviceName: z.string(),
    transport: z
      .string()
      .describe('How a browser can reach the authenticator, such as `internal` or `usb`. Several are separated by commas.'),
    backupState: z.boolean().describe('Whether the authenticator keeps a copy of the passkey elsewhere.'),
    createdAt: time,
    lastUsedAt: time.nullable().describe('Time of the last login with the passkey.'),
  })
  .describe('A passkey with which the user can sign in.')

const publicKey = z.literal('public-key')

const creationOptions = z
  .object({
    challenge: z.string().describe('What the authenticator signs, in base64url.'),
    rp: z.object({ id: z.string(), name: z.string() }).describe('Site that the passkey will belong to.'),
    user: z.object({ id: z.string(), name: z.string(), displayName: z.string() }),
    pubKeyCredParams: z.array(z.object({ alg: z.int(), type: publicKey })).describe('Accepted algorithms.'),
    timeout: z.int().describe('Time that the person has, in milliseconds.'),
    attestation: z.literal('none'),
    excludeCredentials: z
      .array(z.object({ id: z.string(), type: publicKey, transports: z.array(z.string()).optional() }))
      .describe('Passkeys that the user has already.'),
    authenticatorSelection: z.object({ residentKey: z.string(), requireResidentKey: z.boolean(), userVerification: z.string() }),
    extensions: z.object({ credProps: z.boolean() }),
    hints: z.array(z.string()),
  })
  .nullable()
  .describe(`Options for \`navigator.credentials.create\`, as JSON (\`PublicKeyCredentialCreationOptionsJSON\`). ${once}`)

export const userSchemas = {
  user,
  totpSetup,
  recoveryCodes,
  sessionList: listOf(session).describe('A page of sessions, newest first.'),
  sshKey,
  sshKeyList: listOf(sshKey).describe('A page of SSH keys, oldest first.'),
  passkey,
  passkeyList: listOf(passkey).describe('A page of passkeys, oldest first.'),
  creationOptions,
}

export const userBodies: Named[] = [
  { id: 'User', schema: user },
  { id: 'TotpSetup', schema: totpSetup },
  { id: 'RecoveryCodes', schema: recoveryCodes },
  { id: 'Session', schema: session },
  { id: 'SessionList', schema: userSchemas.sessionList },
  { id: 'SshKey', schema: sshKey },
  { id: 'SshKeyList', schema: userSchemas.sshKeyList },
  { id: 'Passkey', schema: passkey },
  { id: 'PasskeyList', schema: userSchemas.passkeyList },
  { id: 'PasskeyCreationOptions', schema: creationOptions },
]

export const userBody = ({ id, email, name, totpEnabled, createdAt }: Profile): z.output<typeof user> => ({
  ...{ id, email, name, totpEnabled, createdAt: timeOf(createdAt) },
})

export const sessionBody = (row: ShownSession, sessionId: string | null): z.output<typeof session> => ({
  id: row.id,
  ipAddress: row.ipAddress,
  userAgent: row.userAgent,
  createdAt: timeOf(row.createdAt),
  lastUsedAt: timeOf(row.lastUsedAt),
  current: row.id === sessionId,
})

export const sshKeyBody = ({ id, label, keyType, fingerprint, createdAt, lastUsedAt }: SshKeyRow): z.output<typeof sshKey> => ({
  ...{ id, label, keyType, fingerprint, createdAt: timeOf(createdAt), lastUsedAt: timeOrNull(lastUsedAt) },
})

export const passkeyBody = (row: PasskeyRow): z.output<typeof passkey> => ({
  id: row.id,
  deviceName: row.name,
  transport: row.transports.join(','),
  backupState: row.backedUp,
  createdAt: timeOf(row.createdAt),
  lastUsedAt: timeOrNull(row.lastUsedAt),
})

export const creationOptionsBody = (options: object | null) => options as z.output<typeof creationOptions>
