/** A software authenticator with the browser around it: it creates a passkey and signs in with it, as WebAuthn specifies, or wrongly on purpose. */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'

type Cbor = number | string | Buffer | Map<Cbor, Cbor>

/** CBOR (RFC 8949), as far as WebAuthn needs it. */
export function encodeCbor(value: Cbor): Buffer {
  if (typeof value === 'number') return value < 0 ? head(1, -1 - value) : head(0, value)
  if (typeof value === 'string') return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)])
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value])
  return Buffer.concat([head(5, value.size), ...[...value].flat().map(encodeCbor)])
}

function head(major: number, number: number): Buffer {
  if (number < 24) return Buffer.of((major << 5) | number)
  if (number < 256) return Buffer.of((major << 5) | 24, number)
  return Buffer.of((major << 5) | 25, number >> 8, number & 255)
}

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest()
const base64url = (data: string | Buffer) => Buffer.from(data).toString('base64url')

export type Deviation = {
  origin?: string
  rpId?: string
  challenge?: string
  /** Type in the client data. */
  type?: string
  /** The person was not verified by a PIN or a fingerprint. */
  isUnverified?: boolean
  counter?: number
  credentialId?: string
  userHandle?: string
  crossOrigin?: boolean
  /** Attestation statement with its format. */
  attestation?: { fmt: string; attStmt: Map<Cbor, Cbor> }
}

// biome-ignore lint/suspicious/noExplicitAny: options as a browser receives them
type Options = any

export type Authenticator = ReturnType<typeof createAuthenticator>

/** `counts`: whether it counts its uses. Passkeys that are synced between devices don't. */
export function createAuthenticator(kind: 'ES256' | 'EdDSA' = 'ES256', { origin = 'http://localhost:4000', counts = false } = {}) {
  const credentialId = randomBytes(32)
  const { privateKey, publicKey } = kind === 'ES256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('ed25519')
  let counter = 0
  let userHandle: string | undefined

  const authenticatorData = (rpId: string, deviation: Deviation, attested: Buffer | null) => {
    if (counts) counter++
    const count = Buffer.alloc(4)
    count.writeUInt32BE(deviation.counter ?? counter)
    const flags = 0x01 | (deviation.isUnverified ? 0 : 0x04) | (attested ? 0x40 : 0)
    return Buffer.concat([sha256(deviation.rpId ?? rpId), Buffer.of(flags), count, attested ?? Buffer.alloc(0)])
  }
  const clientData = (type: string, challenge: string, deviation: Deviation) =>
    JSON.stringify({
      type: deviation.type ?? type,
      challenge: deviation.challenge ?? challenge,
      origin: deviation.origin ?? origin,
      crossOrigin: deviation.crossOrigin ?? false,
    })
  const credential = <Response extends object>(response: Response, deviation: Deviation) => {
    const id = deviation.credentialId ?? base64url(credentialId)
    return { id, rawId: id, type: 'public-key', response, clientExtensionResults: {} }
  }

  return {
    credentialId: base64url(credentialId),
    /** `navigator.credentials.create` */
    create(options: Options, deviation: Deviation = {}) {
      userHandle = options.user.id
      const length = Buffer.of(credentialId.length >> 8, credentialId.length & 255)
      const attested = Buffer.concat([Buffer.alloc(16), length, credentialId, coseKey(kind, publicKey)])
      const authData = authenticatorData(options.rp.id, deviation, attested)
      const { fmt, attStmt } = deviation.attestation ?? { fmt: 'none', attStmt: new Map() }
      const attestation = new Map<Cbor, Cbor>([
        ['fmt', fmt],
        ['attStmt', attStmt],
        ['authData', authData],
      ])
      const clientDataJSON = base64url(clientData('webauthn.create', options.challenge, deviation))
      return credential({ clientDataJSON, attestationObject: base64url(encodeCbor(attestation)), transports: ['internal'] }, deviation)
    },
    /** `navigator.credentials.get` */
    get(options: Options, deviation: Deviation = {}) {
      const authData = authenticatorData(options.rpId, deviation, null)
      const client = clientData('webauthn.get', options.challenge, deviation)
      const signature = sign(kind === 'ES256' ? 'sha256' : null, Buffer.concat([authData, sha256(client)]), privateKey)
      return credential(
        {
          clientDataJSON: base64url(client),
          authenticatorData: base64url(authData),
          signature: base64url(signature),
          userHandle: deviation.userHandle ?? userHandle,
        },
        deviation,
      )
    },
  }
}

/** A public key in COSE format (RFC 9053). */
function coseKey(kind: 'ES256' | 'EdDSA', key: KeyObject): Buffer {
  const { x, y } = key.export({ format: 'jwk' })
  const bytes = (text: string) => Buffer.from(text, 'base64url')
  const [type, algorithm, curve] = kind === 'ES256' ? [2, -7, 1] : [1, -8, 6]
  const members: [Cbor, Cbor][] = [
    [1, type!],
    [3, algorithm!],
    [-1, curve!],
    [-2, bytes(x!)],
  ]
  if (kind === 'ES256') members.push([-3, bytes(y!)])
  return encodeCbor(new Map(members))
}
