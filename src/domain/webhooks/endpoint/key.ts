/** Signing keys of endpoints: chosen or made, and sealed. */
import type { WebhookEndpoint, WebhookKeyType } from '../../../generated/prisma/client.ts'
import { errors } from '../../../platform/errors.ts'
import { newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { keyIdentity } from './model.ts'
import { generateEd25519Secret, generateSecret, parseSecret, publicKeyOf, SecretFormatError, type SigningKey } from './signature.ts'

export type ChosenKey = {
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
  if (keyType && keyType !== found) throw refusedSecret(`the secret is one of ${found}, not of ${keyType}`)
  return { secret: text, keyType: found, publicKey: publicKeyOf(key), shown: found === 'HMAC' ? text : null }
}

export const refusedSecret = (text: string) => errors.invalid_input({ field: 'secret', text: `secret: ${text}` })

function readSecret(text: string): SigningKey {
  try {
    return parseSecret(text)
  } catch (error) {
    throw error instanceof SecretFormatError ? refusedSecret(error.message) : error
  }
}

/** Adds a key to an endpoint as its newest, and gives the endpoint as it is then. */
export async function insertKey(work: Work, endpointId: string, key: ChosenKey): Promise<WebhookEndpoint> {
  const id = newId()
  const sealed = await work.app.keyring.seal(work.tx, work.caller.organizationId, keyIdentity(id), key.secret)
  await work.tx.webhookKey.create({ data: { id, endpointId, sealed } })
  return work.tx.webhookEndpoint.update({ where: { id: endpointId }, data: { keyType: key.keyType, publicKey: key.publicKey } })
}
