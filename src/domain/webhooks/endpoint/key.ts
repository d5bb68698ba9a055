/** Signing keys of endpoints: chosen or made, and sealed. */
import type { WebhookEndpoint, WebhookKeyType } from '../../../generated/prisma/client.ts'
import { run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { keyIdentity } from './model.ts'
import { generateEd25519Secret, generateSecret, parseSecret, publicKeyOf, SecretFormatError, type SigningKey } from './signature.ts'

export type ChosenKey = {
  id: string
  secret: string
  keyType: WebhookKeyType
  publicKey: string | null
  /** What the caller is shown once; null with ed25519, whose private key no API gives. */
  shown: string | null
}

/** The caller's own key, or a new one. Throws `invalid_input` for a secret that can't be one. */
export function chosenKey({ secret, keyType }: { secret?: string | null; keyType?: WebhookKeyType | null }): ChosenKey {
  const text = secret ?? (keyType === 'ED25519' ? generateEd25519Secret() : generateSecret())
  const key = readSecret(text)
  const found: WebhookKeyType = key.version === 'v1a' ? 'ED25519' : 'HMAC'
  if (keyType && keyType !== found) throw refusedSecret(`the secret is for ${found}, but keyType is ${keyType}`)
  return { id: newId(), secret: text, keyType: found, publicKey: publicKeyOf(key), shown: found === 'HMAC' ? text : null }
}

const refusedSecret = (text: string) => errors.invalid_input({ field: 'secret', text: `secret: ${text}` })

function readSecret(text: string): SigningKey {
  try {
    return parseSecret(text)
  } catch (error) {
    throw error instanceof SecretFormatError ? refusedSecret(error.message) : error
  }
}

/**
 * Adds a key to an endpoint as its newest, and gives the endpoint as it is then. Throws `invalid_input` for a secret that an endpoint
 * of the organization signs with: a receiver could pass on to another what it was sent.
 */
export async function insertKey(work: Work, endpointId: string, key: ChosenKey): Promise<WebhookEndpoint> {
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
  if (inserted === 0) throw refusedSecret('is already in use; each endpoint must have its own secret')
  return work.tx.webhookEndpoint.update({ where: { id: endpointId }, data: { keyType: key.keyType, publicKey: key.publicKey } })
}
