import { createHmac, createPublicKey, verify } from 'node:crypto'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { Webhook as StandardWebhook } from 'standardwebhooks'
import { Webhook as SvixWebhook } from 'svix'
import { describe, expect, it } from 'vitest'
import { generateSecret, parseSecret, SecretFormatError, sign } from '../../../src/domain/webhooks/endpoint/signature.ts'

const vector = {
  id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  timestampSeconds: 1614265330,
  body: Buffer.from('{"test": 2432232314}'),
}
const hmacVector = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const hmacSignature = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
const ed25519Vector = 'whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=='
const ed25519Signature = 'v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=='

const secretOf = (bytes: Uint8Array) => `whsec_${Buffer.from(bytes).toString('base64')}`
const nowSeconds = () => Math.floor(Date.now() / 1000)

describe('sign', () => {
  it('returns the published HMAC vector byte for byte', () => {
    expect(sign({ ...vector, keys: [parseSecret(hmacVector)] })).toBe(hmacSignature)
  })

  it('returns the published Ed25519 vector byte for byte, and its public key verifies it', () => {
    expect(sign({ ...vector, keys: [parseSecret(ed25519Vector)] })).toBe(ed25519Signature)
    const text = Buffer.from(`${vector.id}.${vector.timestampSeconds}.${vector.body}`)
    const publicKey = createPublicKey(parseSecret(ed25519Vector).key)
    expect(verify(null, text, publicKey, Buffer.from(ed25519Signature.slice(4), 'base64'))).toBe(true)
  })

  it('returns one signature for each key, in their order, separated by spaces', () => {
    const keys = [parseSecret(ed25519Vector), parseSecret(hmacVector)]
    expect(sign({ ...vector, keys })).toBe(`${ed25519Signature} ${hmacSignature}`)
    expect(sign({ ...vector, keys: keys.toReversed() })).toBe(`${hmacSignature} ${ed25519Signature}`)
  })

  it('refuses to sign without a key', () => {
    expect(() => sign({ ...vector, keys: [] })).toThrow('no key')
  })

  it('agrees with the svix package, with standardwebhooks and with a plain HMAC on any body', () => {
    const body = fc.oneof(fc.json(), fc.string({ unit: 'binary' }), fc.constant('{"a":"😀","b":"\\/","c":18446744073709551615}'))
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 24, maxLength: 64 }), body, fc.integer({ min: 0, max: 2 ** 33 }), (bytes, text, seconds) => {
        const secret = secretOf(bytes)
        const ours = sign({ id: 'evt_1', timestampSeconds: seconds, body: Buffer.from(text), keys: [parseSecret(secret)] })
        const at = new Date(seconds * 1000)
        expect(ours).toBe(`v1,${createHmac('sha256', bytes).update(`evt_1.${seconds}.${text}`).digest('base64')}`)
        expect(ours).toBe(new SvixWebhook(secret).sign('evt_1', at, text))
        expect(ours).toBe(new StandardWebhook(secret).sign('evt_1', at, text))
      }),
    )
  })

  it('is accepted by both packages, by an old or a new secret during a rotation, and by no other', () => {
    const [newer, older, foreign] = [generateSecret(), generateSecret(), generateSecret()]
    const timestampSeconds = nowSeconds()
    const signature = sign({ ...vector, timestampSeconds, keys: [parseSecret(newer), parseSecret(older)] })
    const headers = { 'webhook-id': vector.id, 'webhook-timestamp': String(timestampSeconds), 'webhook-signature': signature }
    for (const Verifier of [SvixWebhook, StandardWebhook]) {
      for (const secret of [newer, older]) {
        expect(() => new Verifier(secret).verify(vector.body.toString(), headers)).not.toThrow()
      }
      expect(() => new Verifier(foreign).verify(vector.body.toString(), headers)).toThrow()
    }
  })
})

describe('generateSecret', () => {
  it('returns a different whsec_ secret of 32 bytes each time', () => {
    const secrets = [generateSecret(), generateSecret()]
    for (const secret of secrets) {
      expect(secret).toMatch(/^whsec_/)
      expect(parseSecret(secret).key.symmetricKeySize).toBe(32)
    }
    expect(secrets[0]).not.toBe(secrets[1])
  })
})

describe('parseSecret', () => {
  it.each([24, 64])('accepts a whsec_ secret of %i bytes', (length) => {
    expect(parseSecret(secretOf(Buffer.alloc(length, 7))).key.export()).toEqual(Buffer.alloc(length, 7))
  })

  const seed = Buffer.from(ed25519Vector.slice(5), 'base64').subarray(0, 32)
  it.each([
    ['of 23 bytes', secretOf(Buffer.alloc(23)), '24 to 64 bytes'],
    ['of 65 bytes', secretOf(Buffer.alloc(65)), '24 to 64 bytes'],
    ['without bytes', 'whsec_', '24 to 64 bytes'],
    ['that is not base64', `whsec_${'!'.repeat(40)}`, 'base64'],
    ['in base64url', `whsec_${'_'.repeat(40)}`, 'base64'],
    ['with a line break', `${secretOf(Buffer.alloc(32))}\n`, 'base64'],
    ['without its padding', secretOf(Buffer.alloc(25)).replace(/=+$/, ''), 'base64'],
    ['without a prefix', Buffer.alloc(32).toString('base64'), 'whsec_'],
    ['with a public key', `whpk_${Buffer.alloc(32).toString('base64')}`, 'whsec_'],
    ['with an ed25519 seed alone', `whsk_${seed.toString('base64')}`, '64 bytes'],
    ['with the public half of another key', `whsk_${Buffer.concat([seed, Buffer.alloc(32)]).toString('base64')}`, 'does not match'],
  ])('refuses a secret %s, without repeating it', (_what, text, reason) => {
    let error: unknown
    try {
      parseSecret(text)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(SecretFormatError)
    expect((error as Error).message).toContain(reason)
    if (text.length > 10) expect((error as Error).message).not.toContain(text.slice(6).trim())
  })

  it('returns a key that does not print its bytes', () => {
    expect(inspect(parseSecret(hmacVector), { depth: 9 })).not.toContain('MfKQ9r8G')
    expect(JSON.stringify(parseSecret(ed25519Vector))).toBe('{"version":"v1a","key":{}}')
  })
})
