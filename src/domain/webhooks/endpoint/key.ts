/** Signing keys of endpoints: provided or generated, and stored sealed. */
import type { WebhookEndpoint, WebhookKeyType } from '../../../generated/prisma/client.ts'
import { assignments, row, run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { newId } from '../../../platform/id.ts'
import type { App, Work } from '../../../platform/work.ts'
import { keyIdentity } from './model.ts'
import { dispatcherPort } from './ports.ts'
import {
  generateEd25519Secret,
  generateSecret,
  parseSecret,
  publicKeyOf,
  SecretFormatError,
  type SigningKey,
  secretOfText,
  symmetricBytes,
} from './signature.ts'

export type NewKey = {
  id: string
  secret: string
  keyType: WebhookKeyType
  publicKey: string | null
  /** Secret that the API returns once. Null for a text of the caller, and with Ed25519, whose private key is never returned. */
  secretToReturn: string | null
}

/** `secretText`: a text whose UTF-8 bytes are the key. */
type WantedKey = { secret?: string | null | undefined; secretText?: string | null | undefined; keyType?: WebhookKeyType | null | undefined }

/** The key that the caller provides, or a generated one. Throws `invalid_input` for a malformed secret. */
export function signingKeyFrom(app: App, { secret, secretText, keyType }: WantedKey): NewKey {
  if (secretText !== undefined && secretText !== null) {
    if (secret || keyType === 'ED25519') throw invalidText('must not be combined with secret or the key type ED25519')
    return keyOfText(app, secretText)
  }
  const text = secret ?? (keyType === 'ED25519' ? generateEd25519Secret() : generateSecret())
  const key = readSecret(text)
  const found: WebhookKeyType = key.version === 'v1a' ? 'ED25519' : 'HMAC'
  if (keyType && keyType !== found) throw invalidSecret(`the secret is for ${found}, but keyType is ${keyType}`)
  return { id: newId(), secret: text, keyType: found, publicKey: publicKeyOf(key), secretToReturn: found === 'HMAC' ? text : null }
}

/** Bytes of a text. A server that delivers in place of Quayside takes secrets of Standard Webhooks only. */
const textBytes = { least: 8, most: 256 }

function keyOfText(app: App, text: string): NewKey {
  const { least, most } = dispatcherPort.isProvided(app) ? symmetricBytes : textBytes
  const bytes = Buffer.byteLength(text)
  if (bytes < least || bytes > most) throw invalidText(`must be ${least} to ${most} bytes long in UTF-8`)
  return { id: newId(), secret: secretOfText(text), keyType: 'HMAC', publicKey: null, secretToReturn: null }
}

const invalidText = (text: string) => errors.invalid_input({ field: 'secretText', text: `secretText: ${text}` })
const invalidSecret = (text: string) => errors.invalid_input({ field: 'secret', text: `secret: ${text}` })

function readSecret(text: string): SigningKey {
  try {
    return parseSecret(text)
  } catch (error) {
    throw error instanceof SecretFormatError ? invalidSecret(error.message) : error
  }
}

/**
 * Adds a key to an endpoint as its newest and returns the updated endpoint. Throws `invalid_input` for a secret that an endpoint of the
 * organization already signs with: otherwise, a receiver could forward its requests to another, which would accept them.
 */
export async function insertKey(work: Work, endpointId: string, key: NewKey): Promise<WebhookEndpoint> {
  const { organizationId } = work.caller
  const sealed = await work.app.keyring.seal(work.tx, organizationId, keyIdentity(key.id), key.secret)
  const fingerprint = await work.app.keyring.fingerprint(work.tx, organizationId, key.secret)
  await run(
    work.tx,
    sql`delete from webhook_key where organization_id = ${organizationId}::uuid and fingerprint = ${fingerprint} and expires_at <= app_now()`,
  )
  const inserted = await run(
    work.tx,
    sql`insert into webhook_key (id, organization_id, endpoint_id, sealed, fingerprint)
        values (${key.id}::uuid, ${organizationId}::uuid, ${endpointId}::uuid, ${sealed}, ${fingerprint})
        on conflict (organization_id, fingerprint) do nothing`,
  )
  if (inserted === 0) throw invalidSecret('is already in use; each endpoint must have its own secret')
  const set = assignments({ keyType: key.keyType, publicKey: key.publicKey })
  return (await row<WebhookEndpoint>(work.tx, sql`update webhook_endpoint set ${set} where id = ${endpointId}::uuid returning *`))!
}
