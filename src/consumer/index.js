// @ts-check
/**
 * What receives Quayside's webhooks: `verify` checks a request after Standard Webhooks 1.0 and gives its event, typed by the
 * catalogue beside this file. Plain JavaScript, since Node strips no types below node_modules; index.d.ts is printed.
 */
import { createPublicKey, verify as verifyBytes } from 'node:crypto'
import { Webhook } from 'svix'
import { types } from './catalogue.js'

/** The request is not one of ours, not meant for now, or was changed on its way. */
export class WebhookVerificationError extends Error {
  name = 'WebhookVerificationError'
}

/** Names of all event types that this version of the module knows. */
export const eventTypes = Object.freeze(Object.keys(types))

const known = new Set(eventTypes)
const toleranceSeconds = 300

/**
 * Checks a request and gives its event. Throws a WebhookVerificationError when its signature, id or time is no good. An event of a
 * type that this module doesn't know is given as `{ type: 'unknown', … }` with its name in `originalType`.
 * @param {unknown} rawBody the bytes as they arrived, as Uint8Array or string; never parsed JSON, whose bytes are lost
 * @param {Headers | Record<string, string | string[] | undefined>} headers of the request
 * @param {string | readonly string[]} secret `whsec_…`, or `whpk_…` for ed25519; during a rotation several
 */
export function verify(rawBody, headers, secret) {
  const body = bytesOf(rawBody)
  const signed = signedHeaders(headers)
  const secrets = typeof secret === 'string' ? [secret] : secret
  if (secrets.length === 0) throw new TypeError('There is no secret to verify with.')
  /** @type {unknown} */
  let refusal
  for (const each of secrets) {
    try {
      if (each.startsWith('whpk_')) verifyEd25519(body, signed, each)
      else verifyHmac(body, signed, each)
      return eventOf(body)
    } catch (error) {
      refusal = error
    }
  }
  throw refusal
}

/** @param {unknown} rawBody @returns {Buffer} */
function bytesOf(rawBody) {
  if (typeof rawBody === 'string') return Buffer.from(rawBody)
  if (rawBody instanceof Uint8Array) return Buffer.from(rawBody.buffer, rawBody.byteOffset, rawBody.byteLength)
  if (rawBody instanceof ArrayBuffer) return Buffer.from(rawBody)
  throw new TypeError('verify takes the raw body, as bytes or text. Parsed JSON can not be verified: its bytes are lost.')
}

const names = /** @type {const} */ (['webhook-id', 'webhook-timestamp', 'webhook-signature'])

/** @typedef {Record<typeof names[number], string>} Signed */

/** @param {Headers | Record<string, string | string[] | undefined>} headers @returns {Signed} */
function signedHeaders(headers) {
  const plain = headers instanceof Headers ? Object.fromEntries(headers) : headers
  const lower = Object.fromEntries(Object.entries(plain).map(([name, value]) => [name.toLowerCase(), value]))
  const entries = names.map((name) => {
    const value = lower[name] ?? lower[name.replace('webhook-', 'svix-')]
    if (typeof value !== 'string' || value === '') throw new WebhookVerificationError(`The header ${name} is missing.`)
    return [name, value]
  })
  return Object.fromEntries(entries)
}

/** @param {Buffer} body @param {Signed} headers @param {string} secret */
function verifyHmac(body, headers, secret) {
  if (!secret.startsWith('whsec_')) throw new TypeError('A secret begins with whsec_ or whpk_.')
  try {
    new Webhook(secret).verify(body, headers)
  } catch (cause) {
    throw new WebhookVerificationError(cause instanceof Error ? cause.message : 'The signature is not valid.', { cause })
  }
}

/** What SPKI puts before an ed25519 public key (RFC 8410, section 4). */
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex')

/** @param {Buffer} body @param {Signed} headers @param {string} secret */
function verifyEd25519(body, headers, secret) {
  const seconds = Number(headers['webhook-timestamp'])
  if (!/^\d{1,12}$/.test(headers['webhook-timestamp'])) throw new WebhookVerificationError('The timestamp is no number.')
  if (Math.abs(Date.now() / 1000 - seconds) > toleranceSeconds) throw new WebhookVerificationError('The timestamp is too far from now.')
  const key = createPublicKey({ key: Buffer.concat([SPKI_HEAD, Buffer.from(secret.slice(5), 'base64')]), format: 'der', type: 'spki' })
  const text = Buffer.concat([Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.`), body])
  const good = headers['webhook-signature'].split(' ').some((part) => {
    const [version, signature] = part.split(',')
    return version === 'v1a' && signature !== undefined && verifyBytes(null, text, key, Buffer.from(signature, 'base64'))
  })
  if (!good) throw new WebhookVerificationError('No signature fits.')
}

/** @param {Buffer} body @returns {any} */
function eventOf(body) {
  const event = JSON.parse(body.toString('utf8'))
  return known.has(event.type) ? event : { ...event, type: 'unknown', originalType: event.type }
}
